"""A3: an attacker in the middle refuses TLS, and the client sends the password in plaintext."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.postgresql import CUSTOMER
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

PREFER = {"sslmode": None}
"""libpq's default: given an authority, it verifies any TLS that it gets, and does without as well."""


class PostgresqlTlsStripped(Lookup):
    """The driver's default only prefers TLS. On asyncpg the app asks for more everywhere but in one place."""

    code = "A3"
    attack = PostgreSQL.attack
    reference = PostgreSQL.reference
    rule = "tls-stripped"
    server = PostgreSQL
    captures = SECRET.encode()
    careful: ClassVar[Mapping[str, Any]] = PREFER
    careless: ClassVar[Mapping[str, Any]] = PREFER
    runs = (
        Run(Psycopg), Run(Asyncpg, "asyncpg", careful={}, careless={"ssl": None}), Run(Psycopg2, "psycopg2"),
    )  # fmt: skip

    def work(self) -> object:
        """Read a customer on a new connection."""
        return self.read(self.careful)

    def meet(self) -> object:
        """Read a customer where TLS is left to the default."""
        return self.read(self.careless)

    def read(self, options: Mapping[str, Any]) -> int:
        """Return the number of rows."""
        self.client.close()
        return len(self.client.execute(*CUSTOMER, **options))
