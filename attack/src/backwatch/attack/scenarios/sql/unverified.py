"""A5: the app asks for encryption but not from whom: it accepts a self-signed certificate."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.server import SECRET, HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.mysql_tls import WantsPassword
from backwatch.attack.techniques.postgresql_login import AsksInClear
from backwatch.attack.techniques.sql import Lookup

_MYSQL: dict[str, Any] = {
    "careless": {**DEFAULT_TLS, "database": "reports"},
    "report": ("SELECT id, customer, total FROM orders ORDER BY id", ()),
    "reference": "https://dev.mysql.com/doc/refman/8.4/en/using-encrypted-connections.html",
}
_LIBPQ: dict[str, Any] = {
    "careless": {"dbname": "reports", "sslmode": "require", "sslrootcert": None}, "option": 'sslmode="require"',
    "report": ("SELECT id, name, mail FROM customers ORDER BY id", ()),
    "reference": "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION",
}  # fmt: skip
_ASYNCPG: dict[str, Any] = {
    "careless": {"database": "reports", "ssl": "require"}, "option": 'ssl="require"',
    "report": ("SELECT id, name FROM customers WHERE mail = $1", ["customer1@shop.example"]),
    "reference": "https://magicstack.github.io/asyncpg/current/api/index.html#connection",
}  # fmt: skip


class SqlUnverified(Lookup):
    """The shop verifies in full. Its reports, in a database of their own, use the defaults, or only ask for encryption.

    Attributes:
        careless: Options of the reports' connection.
        report: The report with its parameters.
    """

    code = "A5"
    attack = "shows a self-signed certificate, and asks for the password itself"
    rule = "unverified-session"
    servers = {"mysql": WantsPassword, "postgresql": AsksInClear}  # noqa: RUF012
    captures = SECRET.encode()
    careless: ClassVar[Mapping[str, Any]]
    report: ClassVar[tuple[str, Sequence[str]]]
    runs = (
        Run(PyMySQL, **_MYSQL), Run(MySQLConnector, "connector", **_MYSQL), Run(Psycopg, **_LIBPQ),
        Run(Asyncpg, "asyncpg", **_ASYNCPG), Run(Psycopg2, "psycopg2", **_LIBPQ),
    )  # fmt: skip

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Serve a self-signed certificate."""
        folder = service.authority.ca_file.parent / service.name / "self-signed"
        service.certificate = Authority(folder).issue("impostor")
        super().turn(service)

    def meet(self) -> object:
        """Make the first report."""
        self.client.close()
        return self.client.execute(*self.report, **self.careless)
