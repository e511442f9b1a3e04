"""F4: a function of SQL reads a file of the database's machine."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import FILE
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReadsFile(ReportPage):
    """The app's account may read files."""

    code = "F4"
    attack = "reads a file of the database's machine"
    reference = "https://attack.mitre.org/techniques/T1005/"
    rule = "statement-touches-files"
    shows = FILE
    runs = (
        Run(PyMySQL, statement="SELECT LOAD_FILE('/etc/passwd')"),
        Run(Psycopg2, statement="SELECT pg_read_file('/etc/passwd')"),
    )
