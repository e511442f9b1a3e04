"""A5: encryption was asked for, but not from whom: a self-signed certificate will do, and the password is said."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg


class Impostor(HonestPostgreSQL):
    """Wants the password in clear, within TLS."""

    def log_in(self, session: Session) -> None:
        """Takes it, once it has turned."""
        if self.hostile:
            self.take_password(session)
        else:
            super().log_in(session)


class Unverified(Psycopg):
    """On psycopg. The shop verifies in full; its reports, in a database of their own, only want encryption."""

    code = "A5"
    attack = "shows a self-signed certificate, and asks for the password in clear"
    reference = "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION"
    rule = "unverified-session"
    option = 'sslmode="require"'

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = Impostor(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now."""
        service.certificate = Authority(service.authority.ca_file.parent / service.name / "self-signed").issue(
            "impostor"
        )
        service.turn()

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        with self.again().cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Makes the first report."""
        with self.again(dbname="reports", sslmode="require", sslrootcert=None).cursor() as cursor:
            cursor.execute("SELECT id, name, mail FROM customers ORDER BY id")
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
