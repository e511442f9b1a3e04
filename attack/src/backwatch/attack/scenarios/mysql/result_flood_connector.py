"""D9: an answer has a thousand times the rows that the statement ever had."""

from backwatch.attack.scenarios.mysql import result_flood
from backwatch.attack.techniques.mysql import Connector


class ResultFlood(Connector, result_flood.ResultFlood):
    """On mysql-connector-python, which reads all of an answer into memory."""
