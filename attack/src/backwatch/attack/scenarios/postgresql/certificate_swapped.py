"""A6: a server shows another certificate that the same authority issued."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class CertificateSwapped(Lookup):
    """The session is verified in full. The attacker has a second certificate of the same authority."""

    code = "A6"
    attack = "shows another certificate of the same authority, and serves its own data"
    reference = "https://attack.mitre.org/techniques/T1649/"
    rule = "certificate-changed"
    server = HonestPostgreSQL
    runs = (Run(Psycopg), Run(Asyncpg, "asyncpg"), Run(Psycopg2, "psycopg2"))

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Answer with another certificate and key."""
        service.certificate = service.authority.issue("in the middle")
        service.turn()
