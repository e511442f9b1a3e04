"""F7: the session is taken out of the binary log."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class HidesTraces(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F7"
    attack = "switches the binary log off for what it does next"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    rule = "audit-disabled"
    server = MySQLOfTables
    captures = b"sql_log_bin"
    statement = "SET sql_log_bin = 0"
    runs = (Run(PyMySQL),)
