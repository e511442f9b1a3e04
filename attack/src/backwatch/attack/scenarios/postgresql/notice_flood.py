"""D8: thousands of notices come with a result, and the app writes each to its log."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.demo.services.postgresql import send
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import Run, Scenario

MANY = 2_000
_NOTICE = b"SNOTICE\0C00000\0M" + b"please read this carefully" + b"\0\0"


class Noisy(HonestPostgreSQL):
    """Sends notices with each result, once hostile."""

    def answers(self, session: ServerSession, statement: bytes) -> bool:
        """Send the notices before the result."""
        if self.hostile:
            for _ in range(MANY):
                send(session, b"N", _NOTICE)
        return super().answers(session, statement)


class NoticeFlood(Scenario):
    """The app writes every notice to its log."""

    code = "D8"
    attack = "sends two thousand notices with an answer"
    reference = "https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC"
    notices = "a log that grows"
    rule = "server-notice-flood"
    server = Noisy
    shows = str(MANY)
    runs = (Run(Psycopg), Run(Asyncpg, "asyncpg"))

    def work(self) -> object:
        """Return the number of notices that came with a lookup."""
        return self.client.count_notices()
