"""F10: connections are held by statements that only wait."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class Sleeps(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F10"
    attack = "holds connections with statements that sleep"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    rule = "heavy-query"
    server = MySQLOfTables
    shows = "[['0']]"
    statement = "SELECT SLEEP(60)"
    runs = (Run(PyMySQL),)
