"""D10 on psycopg: a PostgreSQL's error text steers the terminal that shows the app's log."""

from collections.abc import Sequence

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import RefusedError
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg


class _Forging(HonestPostgreSQL):
    def columns(self, statement: bytes) -> Sequence[bytes]:
        if self.hostile and statement.startswith(b"SELECT"):
            raise RefusedError("XX000", FORGED)
        return super().columns(statement)


class PostgresqlForgedLog(LogsErrors, Psycopg):
    """psycopg hands the text on as it came."""

    errors = "psycopg.Error"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return _Forging(authority)

    def ask(self) -> object:
        """Reads a customer, on a new connection each time."""
        with self.again().cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            return len(cursor.fetchall())
