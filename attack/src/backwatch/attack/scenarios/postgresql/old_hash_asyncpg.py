"""B4 on asyncpg: asks for an MD5 hash with a salt of its own choice, where it always asked for SCRAM."""

from backwatch.attack.techniques.postgresql_login import AsksOldHash, LoginOfAsyncpg


class OldHashAsked(LoginOfAsyncpg):
    """asyncpg answers with a hash that is guessed within hours."""

    code = "B4"
    attack = "asks for an MD5 hash with a salt of its own choice, where it always asked for SCRAM"
    reference = "https://www.postgresql.org/docs/current/auth-password.html; ATT&CK T1562.010"
    asks = AsksOldHash
