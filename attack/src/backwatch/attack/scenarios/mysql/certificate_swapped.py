"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import PyMySQL, ReadsOrders


class CertificateSwapped(PyMySQL, ReadsOrders):
    """On PyMySQL, verified in full: the authority that both trust has been talked into a second certificate."""

    code = "A6"
    attack = "shows another certificate of the same authority, and serves its own data"
    reference = "https://attack.mitre.org/techniques/T1649/"
    rule = "certificate-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with a certificate of its own."""
        return HonestMySQL(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now, with a key of his own."""
        service.certificate = service.authority.issue("in the middle")
        service.turn()
