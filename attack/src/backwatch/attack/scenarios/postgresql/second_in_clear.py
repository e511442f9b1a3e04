"""A1 on psycopg: a second database is attached with ``sslmode=disable``, and a login that proves the password only."""

from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, HonestPostgreSQL):
    pass


class PostgresqlSecond(AttachesInClear, Psycopg):
    """SCRAM keeps the password to itself; what is asked and answered is read, and can be changed, on the way."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads the customers"
    rule = "plaintext-session"
    service_class = _Both
    said = b"FROM customers"

    def visit(self, host: str, *, careful: bool) -> object:
        """Reads a customer, on a new connection each time."""
        with self.again(host=host, sslmode="verify-full" if careful else "disable").cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            return len(cursor.fetchall())
