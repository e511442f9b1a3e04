"""B1 on asyncpg: asks for the password itself, where it always asked for SCRAM."""

from backwatch.attack.techniques.postgresql_login import AsksInClear, LoginOfAsyncpg


class PasswordAsked(LoginOfAsyncpg):
    """asyncpg answers with the password, whatever the connection is."""

    code = "B1"
    attack = "asks for the password itself, where it always asked for SCRAM"
    reference = "https://www.postgresql.org/docs/current/auth-password.html; ATT&CK T1187"
    asks = AsksInClear
