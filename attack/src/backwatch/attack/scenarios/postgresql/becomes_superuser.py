"""F6: the attacker gives the app's own account all rights."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class BecomesSuperuser(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F6"
    attack = "makes the app's account a superuser"
    reference = "https://attack.mitre.org/techniques/T1098/"
    rule = "privilege-escalation"
    captures = b"SUPERUSER"
    statement = "ALTER ROLE shop SUPERUSER"
    runs = (
        Run(Psycopg),
        Run(Asyncpg, "asyncpg"),
    )
