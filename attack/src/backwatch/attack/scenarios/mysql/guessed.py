"""B10 on PyMySQL: passwords of a MySQL account are tried out through the app."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, PyMySQL
from backwatch.attack.techniques.refused_logins import Guessed


class MysqlGuessed(Guessed, PyMySQL):
    """The server answers 1045 to each."""

    driver = "pymysql"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It checks the password."""
        return HonestMySQL(authority)

    def log_in(self, password: str) -> None:
        """And reads an order."""
        self.renew()
        with self.connected(password=password).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()
