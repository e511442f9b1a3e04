"""D10: a MySQL's error text steers the terminal that shows the app's log."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors


class _Forging(HonestMySQL):
    def answers(self, wire: Packets, statement: bytes) -> bool:
        if not self.hostile or not statement.startswith(b"SELECT"):
            return super().answers(wire, statement)
        wire.send(b"\xff\x51\x04#HY000" + FORGED.encode())
        return True


class MysqlForgedLog(LogsErrors):
    """PyMySQL's exception prints as a tuple with the text escaped. The app logs the text alone."""

    errors = "pymysql.Error"
    server = _Forging
    runs = (Run(PyMySQL),)

    def text_of(self, error: BaseException) -> object:
        """Return the text without the number."""
        return error.args[-1]

    def ask(self) -> object:
        """Read orders on a new connection."""
        return self.client.look_up()
