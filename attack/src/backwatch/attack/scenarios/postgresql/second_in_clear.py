"""A1: a second database is attached with ``sslmode=disable``, and a login that proves the password only."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear


class PostgresqlSecond(AttachesInClear):
    """SCRAM protects the password. Statements and rows can be read and changed on the way."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads the customers"
    rule = "plaintext-session"
    server = HonestPostgreSQL
    confidential = b"FROM customers"
    runs = (Run(Psycopg),)

    def visit(self, host: str, *, careful: bool) -> object:
        """Read a customer on a new connection."""
        return self.client.look_up(host=host, sslmode="verify-full" if careful else "disable")
