"""A7 on urllib: a second API's certificate is not valid yet. The context ignores dates."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.http.second_expired import HttpSecondExpired

BEGINS_DAYS = 3


class HttpSecondNotYetValid(HttpSecondExpired):
    """The certificate was issued on a machine with a wrong clock, or for a later day."""

    attack = "is attached beside another one, with a certificate whose first day is still to come"
    reference = "https://datatracker.ietf.org/doc/html/rfc5280#section-4.1.2.5; ATT&CK T1649"
    rule = "certificate-not-yet-valid"

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Give the second API a certificate that is not valid yet."""
        service.certificate = service.authority.issue("made in a hurry", age_days=-BEGINS_DAYS)
        service.drop()
