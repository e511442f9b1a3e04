"""D9: an answer has a thousand times the rows that the statement ever had."""

from backwatch.attack.entries import mysql_result_flood, run
from backwatch.attack.entries._mysql import Connector


class ResultFlood(Connector, mysql_result_flood.ResultFlood):
    """On mysql-connector-python, which reads all of an answer into memory."""


if __name__ == "__main__":
    run(ResultFlood)
