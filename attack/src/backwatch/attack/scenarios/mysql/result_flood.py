"""D9: a result has a thousand times the rows that the statement ever had."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

MANY = 20_000


class Flooding(HonestMySQL):
    """Returns far more rows than there are, once hostile."""

    def turn(self) -> None:
        """Raise the number of rows."""
        self.rows = MANY
        super().turn()


class ResultFlood(Lookup):
    """The driver reads the whole result into memory."""

    code = "D9"
    attack = "answers a search for one customer with twenty thousand rows"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/"
    notices = "a long list"
    rule = "bulk-read"
    server = Flooding
    shows = str(MANY)
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
