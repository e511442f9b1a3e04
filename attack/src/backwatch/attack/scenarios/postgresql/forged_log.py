"""D10: a PostgreSQL's error text steers the terminal that shows the app's log."""

from collections.abc import Sequence

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.demo.services.postgresql import RefusedError
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors


class _Forging(HonestPostgreSQL):
    def columns(self, statement: bytes) -> Sequence[bytes]:
        if self.hostile and statement.startswith(b"SELECT"):
            raise RefusedError("XX000", FORGED)
        return super().columns(statement)


class PostgresqlForgedLog(LogsErrors):
    """psycopg passes the text on as it came."""

    errors = "psycopg.Error"
    server = _Forging
    runs = (Run(Psycopg),)

    def ask(self) -> object:
        """Read a customer on a new connection."""
        return self.client.look_up()
