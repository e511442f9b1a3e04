"""H4: what mysqldump sends, sent by an app."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class DumpTool(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "H4"
    attack = "copies a table the way that mysqldump does"
    reference = "https://attack.mitre.org/techniques/T1048/"
    rule = "dump-tool"
    shows = LOOT
    statement = "SELECT /*!40001 SQL_NO_CACHE */ * FROM `accounts` WHERE id < 100"
    runs = (Run(MySQLConnector),)
