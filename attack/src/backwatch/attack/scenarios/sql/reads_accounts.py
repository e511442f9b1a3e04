"""F2: the database's own accounts and their password hashes are read."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReadsAccounts(ReportPage):
    """The app's account may read the system tables."""

    code = "F2"
    attack = "reads the database's own accounts"
    reference = "https://attack.mitre.org/techniques/T1087/"
    rule = "credential-table-read"
    shows = LOOT
    runs = (
        Run(PyMySQL, statement="SELECT user, authentication_string FROM mysql.user"),
        Run(Psycopg, statement="SELECT usename, passwd FROM pg_shadow"),
    )
