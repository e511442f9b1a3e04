"""B4: the server switches the login to the plugin of twenty years ago."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL, native_proof_of, switch
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class OldHashMySQL(HonestMySQL):
    """Asks for a proof by SHA-1, which can be cracked offline, once hostile."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        """Switch the plugin and take what the client sends."""
        if self.hostile:
            self.on_leak(switch(wire, b"mysql_native_password"))
        else:
            super().log_in(wire, proof)


class OldHash(Lookup):
    """Verified TLS does not help: an attacker who controls the server gets the login too."""

    code = "B4"
    attack = "asks for a proof by a hash that is cheap to guess"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/native-pluggable-authentication.html; ATT&CK T1562.010"
    rule = "auth-downgraded"
    server = OldHashMySQL
    captures = native_proof_of(SECRET)
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
