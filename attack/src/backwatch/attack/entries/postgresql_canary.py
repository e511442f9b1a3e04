"""D11 on psycopg: an account that nobody has is read."""

from backwatch.attack.entries import run
from backwatch.attack.entries._abused import AbusedPsycopg
from backwatch.attack.entries._canary import ReadsOneAfterTheOther


class PostgresqlCanary(AbusedPsycopg, ReadsOneAfterTheOther):
    """On psycopg."""


if __name__ == "__main__":
    run(PostgresqlCanary)
