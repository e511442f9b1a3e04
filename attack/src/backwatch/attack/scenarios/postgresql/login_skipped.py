"""B8: an impostor does not know the password, so it lets the app in without one."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.postgresql_login import AsksOtherwise
from backwatch.attack.techniques.sql import Lookup


class LoginSkipped(Lookup):
    """The driver accepts the other login; chain and name of the certificate are checked."""

    code = "B8"
    attack = "lets the app in without a password, which it does not know"
    reference = "https://www.postgresql.org/docs/current/auth-trust.html; ATT&CK T1557"
    rule = "auth-downgraded"
    server = AsksOtherwise
    runs = (Run(Psycopg), Run(Asyncpg, "asyncpg"), Run(Psycopg2, "psycopg2"))
