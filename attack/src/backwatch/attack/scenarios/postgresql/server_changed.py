"""A10: the certificate and its key are the right ones, but another server answers."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class Another(HonestPostgreSQL):
    """Announces another version, once hostile."""

    def turn(self) -> None:
        """Change the version."""
        self.version = "16.2"
        super().turn()


class ServerChanged(Lookup):
    """With a stolen key, only the version distinguishes the two servers."""

    code = "A10"
    attack = "answers with a stolen certificate and key, as another server"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    rule = "server-changed"
    server = Another
    runs = (Run(Psycopg2), Run(Psycopg, "psycopg"))
