"""D9: an answer has a thousand times the rows that the statement ever had."""

from backwatch.attack.scenarios.postgresql import result_flood
from backwatch.attack.techniques.postgresql import Psycopg2


class ResultFlood(Psycopg2, result_flood.ResultFlood):
    """On psycopg2, which reads all of an answer into memory."""
