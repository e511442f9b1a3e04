"""E4: the server closes each session after the login or at the first statement."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import FailingLookup


class ResettingMySQL(HonestMySQL):
    """Hangs up instead of a result, once hostile."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Hang up on statements."""
        if self.hostile:
            raise EOFError
        return super().answers(wire, statement)


class ResettingPostgreSQL(HonestPostgreSQL):
    """Closes each session after the login, once hostile."""

    def log_in(self, session: ServerSession) -> None:
        """Check the password, then hang up."""
        super().log_in(session)
        if self.hostile:
            raise EOFError


class SqlErrorStorm(FailingLookup):
    """The app tries again at once."""

    code = "E4"
    attack = "lets clients log in, and hangs up"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    notices = "errors"
    rule = "error-storm"
    servers = {"mysql": ResettingMySQL, "postgresql": ResettingPostgreSQL}  # noqa: RUF012
    runs = (Run(PyMySQL), Run(Psycopg), Run(Asyncpg, "asyncpg"))
