"""B6: the server names how often the client hashes the password: millions of times."""

import contextlib
import hashlib
import time

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import said
from backwatch.attack.protocols.postgresql import HonestPostgreSQL, challenge
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg

SECONDS = 1.9
"""By the clock, at each login, for Python's own function; libpq takes twice as long, which is told as slow already. The
protocol allows a thousand times as many rounds."""
_TRIED = 1_000_000


def rounds_of(seconds: float) -> int:
    """How often a client on this machine hashes in that time, as busy as it is now."""
    begun = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", _TRIED)
    return int(seconds * _TRIED / (time.perf_counter() - begun))


class Bomb(HonestPostgreSQL):
    """Has the client count, once it has turned."""

    seconds = SECONDS
    """Of work that is asked for."""

    def log_in(self, session: Session) -> None:
        """Has what it wants before it is answered."""
        if self.hostile:
            challenge(session, rounds_of(self.seconds))
            said(session)
            raise EOFError
        super().log_in(session)


class ScramBomb(Psycopg):
    """On psycopg, which has no limit of its own."""

    code = "B6"
    attack = "asks for millions of rounds of hashing at each login"
    reference = "CVE-2026-42198; https://datatracker.ietf.org/doc/html/rfc5802"
    notices = "that login is slow"
    rule = "slow-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Bomb(authority)

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        with self.again().cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Tries to, by the clock of its processor: seconds."""
        begun = time.process_time()
        with contextlib.suppress(Exception):  # in the end it is not let in
            self.work()
        return time.process_time() - begun

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app has computed for as long as a thousand honest logins take."""
        del service
        return isinstance(got, float) and got > 1
