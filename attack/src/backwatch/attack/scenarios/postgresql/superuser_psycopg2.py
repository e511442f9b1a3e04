"""H7: the app's account has become one that may do everything."""

from backwatch.attack.scenarios.postgresql import superuser
from backwatch.attack.techniques.postgresql import Psycopg2


class Superuser(Psycopg2, superuser.Superuser):
    """On psycopg2: nothing that the app does shows it, until an injected statement uses it."""
