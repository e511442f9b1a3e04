"""A3: who sits in between answers libpq's request for TLS with "no", and libpq leaves, for it was told to insist."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg


class TlsRefused(Psycopg):
    """On psycopg with ``sslmode=verify-full``: nothing is lost, and somebody is there all the same."""

    code = "A3"
    attack = PostgreSQL.attack
    reference = PostgreSQL.reference
    notices = "an error at connect"
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It would take the password."""
        service = PostgreSQL(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        with self.again().cursor() as cursor:
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
