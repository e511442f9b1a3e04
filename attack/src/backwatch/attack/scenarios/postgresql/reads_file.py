"""F4: pg_read_file reads a file of the database's machine."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import FILE, PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReadsFile(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F4"
    attack = "reads a file of the database's machine"
    reference = "https://attack.mitre.org/techniques/T1005/"
    rule = "statement-touches-files"
    server = PostgreSQLOfTables
    shows = FILE
    statement = "SELECT pg_read_file('/etc/passwd')"
    runs = (Run(Psycopg2),)
