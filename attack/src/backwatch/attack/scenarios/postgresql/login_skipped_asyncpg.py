"""B8 on asyncpg: the server lets the app in without a password, as whoever does not know it must."""

from backwatch.attack.techniques.postgresql_login import LoginOfAsyncpg, SkipsLogin


class LoginSkipped(SkipsLogin, LoginOfAsyncpg):
    """asyncpg takes it for a login."""
