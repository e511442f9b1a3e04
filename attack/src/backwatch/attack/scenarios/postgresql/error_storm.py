"""E4: the server closes each session after the login."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import Session
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import FailingLookup


class Resetting(HonestPostgreSQL):
    """Closes each session after the login, once hostile."""

    def log_in(self, session: Session) -> None:
        """Check the password, then hang up."""
        super().log_in(session)
        if self.hostile:
            raise EOFError


class ErrorStorm(FailingLookup):
    """The app tries again at once."""

    code = "E4"
    attack = "checks the login, and hangs up"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    notices = "errors"
    rule = "error-storm"
    server = Resetting
    runs = (Run(Psycopg), Run(Asyncpg, "asyncpg"))
