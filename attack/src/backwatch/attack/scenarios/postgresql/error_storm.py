"""E4: who logs in is cut off each time."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.techniques.postgresql import Psycopg, ReadsCustomers

TRIES = 12


class Resetting(HonestPostgreSQL):
    """Lets nobody in any more, once it has turned."""

    def log_in(self, session: Session) -> None:
        """Hangs up once it was told who is there."""
        super().log_in(session)
        if self.hostile:
            raise EOFError


class ErrorStorm(Psycopg, ReadsCustomers):
    """On psycopg, in an app that simply tries again."""

    code = "E4"
    attack = "checks the login, and hangs up"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    notices = "errors"
    rule = "error-storm"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Resetting(authority)

    def meet(self) -> object:
        """Tries again and again, as apps do: how often that failed."""
        failed = 0
        for _ in range(TRIES):
            try:
                self._read()
            except Exception:  # noqa: BLE001  the driver's own, whatever it is
                failed += 1
        return failed

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Nothing was answered."""
        del service
        return got == TRIES
