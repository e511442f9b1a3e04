"""B4: the server requests an MD5 hash with its own salt instead of SCRAM."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.postgresql_login import AsksOldHash
from backwatch.attack.techniques.sql import Lookup


class OldHashAsked(Lookup):
    """The driver accepts the other login; chain and name of the certificate are checked."""

    code = "B4"
    attack = "asks for an MD5 hash with a salt of its own choice, where it always asked for SCRAM"
    reference = "https://www.postgresql.org/docs/current/auth-password.html; ATT&CK T1562.010"
    rule = "auth-downgraded"
    server = AsksOldHash
    runs = (Run(Asyncpg, "asyncpg"),)
