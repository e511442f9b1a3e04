"""B8 on asyncpg: lets the app in without a password, as whoever does not know it must."""

from backwatch.attack.entries import run
from backwatch.attack.entries._postgresql_login import AsksOtherwise, LoginOfAsyncpg


class LoginSkipped(LoginOfAsyncpg):
    """asyncpg takes it for a login."""

    code = "B8"
    attack = "lets the app in without a password, as whoever does not know it must"
    reference = "https://www.postgresql.org/docs/current/auth-trust.html; ATT&CK T1557"
    asks = AsksOtherwise


if __name__ == "__main__":
    run(LoginSkipped)
