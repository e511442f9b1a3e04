"""D9: a result has a thousand times the rows that the statement ever had."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

MANY = 20_000


class ResultFlood(Lookup):
    """The driver reads the whole result into memory."""

    code = "D9"
    attack = "answers a search for one customer with twenty thousand rows"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/"
    notices = "a long list"
    rule = "bulk-read"
    shows = str(MANY)
    runs = (
        Run(PyMySQL), Run(MySQLConnector, "connector"), Run(Psycopg), Run(Asyncpg, "asyncpg"),
        Run(Psycopg2, "psycopg2"),
    )  # fmt: skip

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Raise the number of rows."""
        vars(service)["rows"] = MANY
        super().turn(service)
