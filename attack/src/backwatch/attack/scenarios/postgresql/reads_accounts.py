"""F2: the database's own accounts and their password hashes are read."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.protocols.tables import LOOT, PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReadsAccounts(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F2"
    attack = "reads the database's own accounts"
    reference = "https://attack.mitre.org/techniques/T1087/"
    rule = "credential-table-read"
    server = PostgreSQLOfTables
    shows = LOOT
    statement = "SELECT usename, passwd FROM pg_shadow"
    runs = (Run(Psycopg),)
