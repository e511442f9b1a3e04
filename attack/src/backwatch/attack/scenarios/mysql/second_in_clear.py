"""A1 on pymysql: a second database is attached without a word about TLS; the login proves the password only."""

from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.techniques.mysql import ONE, ORDERS, PLAIN, PyMySQL
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, HonestMySQL):
    pass


class MysqlSecond(AttachesInClear, PyMySQL):
    """``ssl_disabled``, as guides for a first try have it."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads the orders"
    rule = "plaintext-session"
    service_class = _Both
    said = b"FROM orders"

    def visit(self, host: str, *, careful: bool) -> object:
        """Reads orders, on a new connection each time."""
        self.renew()
        more = {} if careful else {**PLAIN, "ssl_disabled": True}
        with self.connected(host=host, **more).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())
