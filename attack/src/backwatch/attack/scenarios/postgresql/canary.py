"""D11 on psycopg: an account that nobody has is read."""

from backwatch.attack.techniques.abused import AbusedPsycopg
from backwatch.attack.techniques.canary import ReadsOneAfterTheOther


class PostgresqlCanary(AbusedPsycopg, ReadsOneAfterTheOther):
    """On psycopg."""
