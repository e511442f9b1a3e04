"""H7: the app's account has become one that may do everything."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.postgresql import Psycopg, ReadsCustomers


class Generous(HonestPostgreSQL):
    """Checks the account's rights at first, and none once it has turned."""

    def parameters(self) -> dict[str, str]:
        """As PostgreSQL tells every client at its login."""
        return super().parameters() | {"is_superuser": "on" if self.hostile else "off"}


class Superuser(Psycopg, ReadsCustomers):
    """On psycopg: nothing that the app does shows it, until an injected statement uses it."""

    code = "H7"
    attack = "lets the app in as a superuser, for somebody has given its account all rights"
    reference = "https://attack.mitre.org/techniques/T1098/"
    rule = "superuser-account"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """The account may do what the app does, and nothing else."""
        return Generous(authority)
