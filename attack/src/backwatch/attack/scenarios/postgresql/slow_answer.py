"""E1: a response that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import Session
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.slow_result import DELAY_S, SlowResult


class Slow(HonestPostgreSQL):
    """Delays each result, once hostile."""

    def answers(self, session: Session, statement: bytes) -> bool:
        """Wait before the result."""
        if self.hostile:
            time.sleep(DELAY_S)
        return super().answers(session, statement)


class SlowAnswer(SlowResult):
    """On psycopg2: it waits as long as the server does."""

    server = Slow
    runs = (Run(Psycopg2),)
