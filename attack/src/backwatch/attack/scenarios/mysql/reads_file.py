"""F4: LOAD_FILE reads a file of the database's machine."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import FILE, MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReadsFile(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F4"
    attack = "reads a file of the database's machine"
    reference = "https://attack.mitre.org/techniques/T1005/"
    rule = "statement-touches-files"
    server = MySQLOfTables
    shows = FILE
    statement = "SELECT LOAD_FILE('/etc/passwd')"
    runs = (Run(PyMySQL),)
