"""F7: the attacker disables the audit log."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class HidesTraces(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F7"
    attack = "switches the audit log off for what it does next"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    rule = "audit-disabled"
    server = PostgreSQLOfTables
    captures = b"pgaudit"
    statement = "SET pgaudit.log = 'none'"
    runs = (Run(Psycopg2),)
