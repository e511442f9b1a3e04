"""A5: the app asks for encryption but not from whom: it accepts a self-signed certificate."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import SECRET, HostileServer, Session
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

REQUIRE = {"dbname": "reports", "sslmode": "require", "sslrootcert": None}
LIBPQ_OPTION = 'sslmode="require"'


class Impostor(HonestPostgreSQL):
    """Asks for the password in plaintext, within TLS."""

    def log_in(self, session: Session) -> None:
        """Take the password, once hostile."""
        if self.hostile:
            self.take_password(session)
        else:
            super().log_in(session)


class Unverified(Lookup):
    """The shop verifies in full. Its reports, in a database of their own, only ask for encryption."""

    code = "A5"
    attack = "shows a self-signed certificate, and asks for the password in clear"
    reference = "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION"
    rule = "unverified-session"
    option = LIBPQ_OPTION
    server = Impostor
    captures = SECRET.encode()
    careless: ClassVar[Mapping[str, Any]] = REQUIRE
    report: ClassVar[tuple[str, Sequence[str]]] = ("SELECT id, name, mail FROM customers ORDER BY id", ())
    runs = (
        Run(Psycopg),
        Run(
            Asyncpg, "asyncpg", option='ssl="require"', careless={"database": "reports", "ssl": "require"},
            reference="https://magicstack.github.io/asyncpg/current/api/index.html#connection",
            report=("SELECT id, name FROM customers WHERE mail = $1", ["customer1@shop.example"]),
        ),
        Run(Psycopg2, "psycopg2"),
    )  # fmt: skip

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Answer with a self-signed certificate."""
        folder = service.authority.ca_file.parent / service.name / "self-signed"
        service.certificate = Authority(folder).issue("impostor")
        service.turn()

    def meet(self) -> object:
        """Make the first report."""
        self.client.close()
        return self.client.execute(*self.report, **self.careless)
