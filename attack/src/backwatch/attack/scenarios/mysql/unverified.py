"""A5: without an authority to verify with any certificate will do, and the password is said."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mysql import ONE, ORDERS, PLAIN, PyMySQL


class Impostor(HonestMySQL):
    """Says that the proof will not do, and wants the password, within TLS."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Takes it, once it has turned."""
        if self.hostile:
            wire.send(b"\x01\x04")
            self.taken(wire.receive().rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class Unverified(PyMySQL):
    """On PyMySQL. The shop verifies in full; its reports take the defaults."""

    code = "A5"
    attack = "shows a self-signed certificate, and says that it must have the password itself"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/using-encrypted-connections.html"
    rule = "unverified-session"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = Impostor(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now."""
        service.certificate = Authority(service.authority.ca_file.parent / "impostor").issue("impostor")
        service.turn()

    def work(self) -> None:
        """Reads orders over verified TLS, on a new connection each time."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Makes the first report."""
        self.renew()
        with self.connected(database="reports", **PLAIN).cursor() as cursor:
            cursor.execute("SELECT id, customer, total FROM orders ORDER BY id")
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
