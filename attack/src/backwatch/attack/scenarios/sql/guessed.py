"""B10: passwords of a database account are tried through the app."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.refused_logins import Guessed
from backwatch.attack.techniques.sql import HONEST


class SqlGuessed(Guessed):
    """MySQL responds 1045 to each, and PostgreSQL 28P01."""

    servers = HONEST
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"), Run(Asyncpg, "asyncpg"))

    def log_in(self, password: str) -> None:
        """Log in and run the ordinary query."""
        self.client.look_up(password=password)
