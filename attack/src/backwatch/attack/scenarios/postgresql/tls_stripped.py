"""A3: who sits in between answers libpq's request for TLS with "no", and is told the password in clear."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg


class TlsStripped(Psycopg):
    """On psycopg, whose default only prefers TLS."""

    code = "A3"
    attack = PostgreSQL.attack
    reference = PostgreSQL.reference
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = PostgreSQL(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        # The default is "prefer": given an authority, libpq verifies any TLS that it gets, and does without as well.
        with self.again(sslmode=None).cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """The same."""
        self.work()
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
