"""H7: the app's account has become a superuser."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class Generous(HonestPostgreSQL):
    """Checks the account's rights at first, and none once hostile."""

    def parameters(self) -> dict[str, str]:
        """Return what PostgreSQL reports to every client at its login."""
        return super().parameters() | {"is_superuser": "on" if self.hostile else "off"}


class Superuser(Lookup):
    """The app's ordinary work does not show it, until an injected statement uses the rights."""

    code = "H7"
    attack = "lets the app in as a superuser, since its account was granted all rights"
    reference = "https://attack.mitre.org/techniques/T1098/"
    rule = "over-privileged-account"
    server = Generous
    runs = (Run(Psycopg), Run(Asyncpg, "asyncpg"), Run(Psycopg2, "psycopg2"))
