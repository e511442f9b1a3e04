"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.postgresql import Psycopg2, ReadsCustomers


class Another(HonestPostgreSQL):
    """Announces another version, once it has turned."""

    def turn(self) -> None:
        """From now on."""
        self.version = "16.2"
        super().turn()


class ServerChanged(Psycopg2, ReadsCustomers):
    """On psycopg2: with a stolen key nothing else betrays whoever answers."""

    code = "A10"
    attack = "answers with a stolen certificate and key, as another server"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    rule = "server-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Another(authority)
