"""A6: the service presents another certificate of the same authority."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario


class CertificateSwapped(Scenario):
    """A mixin for an app that checks certificates in full. List it first among the bases."""

    code = "A6"
    attack = "shows another certificate of the same authority, months before the old one ends"
    reference = "https://github.com/prometheus/blackbox_exporter/issues/570; ATT&CK T1557; ATT&CK T1649"
    rule = "certificate-changed"
    option = ""
    notices = "nothing"
    captures = b""
    shows = ""

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Serve a certificate that the attacker got for the name."""
        service.certificate = service.authority.issue("the next owner of the name")
        service.drop()

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response."""
        del service
        return bool(got)
