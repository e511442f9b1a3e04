"""F3: a function from a library runs a command on the database's machine."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class RunsProgram(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F3"
    attack = "runs a command on the database's machine by sys_exec"
    reference = "https://attack.mitre.org/techniques/T1505/001/"
    rule = "statement-runs-program"
    shows = "[['0']]"
    statement = "SELECT sys_exec('id > /tmp/out')"
    runs = (Run(PyMySQL),)
