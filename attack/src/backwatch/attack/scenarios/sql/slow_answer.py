"""E1: a result that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

DELAY_S = 4.0


class SlowMySQL(HonestMySQL):
    """Delays each result, once hostile."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Wait before the result."""
        if self.hostile and statement.upper().startswith(b"SELECT ID"):
            time.sleep(DELAY_S)
        return super().answers(wire, statement)


class SlowPostgreSQL(HonestPostgreSQL):
    """Delays each result, once hostile."""

    def answers(self, session: ServerSession, statement: bytes) -> bool:
        """Wait before the result."""
        if self.hostile:
            time.sleep(DELAY_S)
        return super().answers(session, statement)


class SlowAnswer(Lookup):
    """The drivers wait as long as the server does; their own limits are never reached."""

    code = "E1"
    attack = "answers, but so late that the app is busy with waiting"
    reference = "https://attack.mitre.org/techniques/T1499/004/"
    notices = "that it is slow"
    rule = "slow-response"
    servers = {"mysql": SlowMySQL, "postgresql": SlowPostgreSQL}  # noqa: RUF012
    runs = (Run(MySQLConnector), Run(Psycopg2))

    def meet(self) -> object:
        """Return the seconds that the lookup took."""
        begin = time.monotonic()
        self.work()
        return time.monotonic() - begin

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app has waited."""
        del service
        return isinstance(got, float) and got >= DELAY_S
