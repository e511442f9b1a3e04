"""A1: the app attaches a second database without TLS. The login only proves the password."""

from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear


class MysqlSecond(AttachesInClear):
    """``ssl_disabled``, as guides for a first try have it."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads the orders"
    rule = "plaintext-session"
    server = HonestMySQL
    confidential = b"FROM orders"
    runs = (Run(PyMySQL),)

    def visit(self, host: str, *, careful: bool) -> object:
        """Read orders on a new connection."""
        return self.client.look_up(host=host, **({} if careful else {**DEFAULT_TLS, "ssl_disabled": True}))
