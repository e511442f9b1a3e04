"""H1: a page size without a bound, and a table leaves in one answer."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ListPage


class NoLimit(ListPage):
    """The visitor chooses the page size, without a bound."""

    server = MySQLOfTables
    runs = (
        Run(PyMySQL),
        Run(MySQLConnector, "connector"),
    )
