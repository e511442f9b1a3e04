"""D9: an answer has a thousand times the rows that the statement ever had."""

from backwatch.attack.entries import postgresql_result_flood, run
from backwatch.attack.entries._postgresql import Psycopg2


class ResultFlood(Psycopg2, postgresql_result_flood.ResultFlood):
    """On psycopg2, which reads all of an answer into memory."""


if __name__ == "__main__":
    run(ResultFlood)
