"""A7 on urllib: a second API's certificate begins days from now, for a context that looks at no dates."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.http.second_expired import HttpSecondExpired

BEGINS_DAYS = 3


class HttpSecondNotYetValid(HttpSecondExpired):
    """Made on a machine with another clock, or for a day that has not come."""

    attack = "is attached beside another one, with a certificate whose first day is still to come"
    reference = "https://datatracker.ietf.org/doc/html/rfc5280#section-4.1.2.5; ATT&CK T1649"
    rule = "certificate-not-yet-valid"

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """The second one has a certificate of another time."""
        service.certificate = service.authority.issue("made in a hurry", age_days=-BEGINS_DAYS)
        service.drop()
