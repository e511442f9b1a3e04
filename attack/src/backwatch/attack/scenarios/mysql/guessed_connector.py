"""B10 on mysql-connector-python: passwords of a MySQL account are tried out through the app."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, Connector
from backwatch.attack.techniques.refused_logins import Guessed


class MysqlGuessed(Guessed, Connector):
    """The server answers 1045 to each."""

    driver = "mysql.connector"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It checks the password."""
        return HonestMySQL(authority)

    def log_in(self, password: str) -> None:
        """And reads an order."""
        self.renew()
        cursor = self.connected(password=password).cursor()
        cursor.execute(ORDERS, ONE)
        cursor.fetchall()
        cursor.close()
