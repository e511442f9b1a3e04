"""F6: a new account with all rights stays when the hole is closed."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class GrantsAll(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F6"
    attack = "grants all rights to an account of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1136/"
    rule = "privilege-escalation"
    captures = b"GRANT ALL"
    statement = "GRANT ALL PRIVILEGES ON *.* TO 'mallory'@'%'"
    runs = (Run(MySQLConnector),)
