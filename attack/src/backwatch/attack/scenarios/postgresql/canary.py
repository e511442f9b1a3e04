"""D11: an attacker reads an unused canary account."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.canary import AccountsByNumber


class PostgresqlCanary(AccountsByNumber):
    """The canary is a password hash."""

    server = PostgreSQLOfTables
    runs = (Run(Psycopg),)
