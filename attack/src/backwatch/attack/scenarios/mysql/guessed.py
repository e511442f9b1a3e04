"""B10: passwords of a MySQL account are tried through the app."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.refused_logins import GuessedDatabaseLogin


class MysqlGuessed(GuessedDatabaseLogin):
    """The server responds 1045 to each."""

    server = HonestMySQL
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
