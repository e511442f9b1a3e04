"""B4: the server switches the login to the plugin of twenty years ago."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL, native_proof_of, switch
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mysql import PyMySQL, ReadsOrders


class Asking(HonestMySQL):
    """Wants a proof by SHA-1, which is guessed at leisure, once it has turned."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Takes it."""
        if self.hostile:
            self.taken(switch(wire, b"mysql_native_password"))
        else:
            super().log_in(wire, proof)


class OldHash(PyMySQL, ReadsOrders):
    """On PyMySQL, over verified TLS: what it sends can be tried against lists of passwords."""

    code = "B4"
    attack = "asks for a proof by a hash that is cheap to guess"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/native-pluggable-authentication.html; ATT&CK T1562.010"
    rule = "auth-downgraded"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes what is sent."""
        service = Asking(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """A proof has arrived, by which a guess can be checked."""
        del got
        return native_proof_of(SECRET) in service.kept
