"""E1: a response that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.slow_result import DELAY_S, SlowResult


class Slow(HonestMySQL):
    """Delays each result, once hostile."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Wait before the result."""
        if self.hostile and statement.upper().startswith(b"SELECT ID"):
            time.sleep(DELAY_S)
        return super().answers(wire, statement)


class SlowAnswer(SlowResult):
    """On mysql-connector-python: it waits as long as the server does."""

    server = Slow
    runs = (Run(MySQLConnector),)
