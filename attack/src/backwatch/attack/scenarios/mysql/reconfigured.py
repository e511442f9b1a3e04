"""F4: files of the database's clients come within reach by a setting."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class Reconfigured(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F4"
    attack = "switches on that files are loaded from clients"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/load-data-local-security.html; ATT&CK T1562.001"
    rule = "server-reconfigured"
    captures = b"local_infile"
    statement = "SET GLOBAL local_infile = ON"
    runs = (Run(PyMySQL),)
