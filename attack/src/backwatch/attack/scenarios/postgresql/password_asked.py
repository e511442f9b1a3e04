"""B1: the server requests the password itself instead of SCRAM."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.postgresql_login import AsksInClear
from backwatch.attack.techniques.sql import Lookup


class PasswordAsked(Lookup):
    """The driver accepts the other login; chain and name of the certificate are checked."""

    code = "B1"
    attack = "asks for the password itself, where it always asked for SCRAM"
    reference = "https://www.postgresql.org/docs/current/auth-password.html; ATT&CK T1187"
    rule = "auth-downgraded"
    server = AsksInClear
    runs = (Run(Asyncpg, "asyncpg"),)
