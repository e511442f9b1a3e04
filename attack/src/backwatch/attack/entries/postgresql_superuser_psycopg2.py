"""H7: the app's account has become one that may do everything."""

from backwatch.attack.entries import postgresql_superuser, run
from backwatch.attack.entries._postgresql import Psycopg2


class Superuser(Psycopg2, postgresql_superuser.Superuser):
    """On psycopg2: nothing that the app does shows it, until an injected statement uses it."""


if __name__ == "__main__":
    run(Superuser)
