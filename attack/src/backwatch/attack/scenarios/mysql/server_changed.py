"""A10: the certificate and its key are the right ones, but another server answers."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class Another(HonestMySQL):
    """Announces another version, once hostile."""

    def turn(self) -> None:
        """Change the version."""
        self.version = b"8.4.3"
        super().turn()


class ServerChanged(Lookup):
    """With a stolen key, only the version distinguishes the two servers."""

    code = "A10"
    attack = "answers with a stolen certificate and key, as another server"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    rule = "server-changed"
    server = Another
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
