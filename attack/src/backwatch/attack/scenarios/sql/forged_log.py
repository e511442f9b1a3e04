"""D10: a database's error text steers the terminal that shows the app's log."""

from collections.abc import Sequence

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.demo.services.postgresql import RefusedError
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors


class _ForgingMySQL(HonestMySQL):
    def answers(self, wire: Packets, statement: bytes) -> bool:
        if not self.hostile or not statement.startswith(b"SELECT"):
            return super().answers(wire, statement)
        wire.send(b"\xff\x51\x04#HY000" + FORGED.encode())
        return True


class _ForgingPostgreSQL(HonestPostgreSQL):
    def columns(self, statement: bytes) -> Sequence[bytes]:
        if self.hostile and statement.startswith(b"SELECT"):
            raise RefusedError("XX000", FORGED)
        return super().columns(statement)


class SqlForgedLog(LogsErrors):
    """Both drivers pass the text on as it came; PyMySQL's exception holds it after the error's number."""

    servers = {"mysql": _ForgingMySQL, "postgresql": _ForgingPostgreSQL}  # noqa: RUF012
    runs = (Run(PyMySQL, errors="pymysql.Error"), Run(Psycopg, errors="psycopg.Error"))

    def text_of(self, error: BaseException) -> object:
        """Return the text without the number."""
        return error.args[-1]

    def ask(self) -> object:
        """Run the lookup on a new connection."""
        return self.client.look_up()
