"""F9: the attacker changes an administrator's password to an unknown one."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class LocksOut(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F9"
    attack = "gives the administrator another password"
    reference = "https://attack.mitre.org/techniques/T1531/"
    rule = "account-locked-out"
    captures = b"ALTER USER"
    statement = "ALTER USER 'root'@'%' IDENTIFIED BY 'mine now'"
    runs = (Run(PyMySQL),)
