"""B6: the server demands millions of hash iterations for the password."""

import contextlib
import hashlib
import time

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.demo.services.postgresql import receive
from backwatch.attack.protocols.postgresql import HonestPostgreSQL, challenge
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup

SECONDS = 1.9
"""Seconds of hashing at each login, for Python's own function. libpq takes twice as long, which is reported as slow
already. The protocol allows a thousand times as many rounds."""
ASYNCPG_SECONDS = 4.6
"""asyncpg hashes as fast as Python's own function does."""
_TRIED = 1_000_000


def rounds_of(seconds: float) -> int:
    """Return the iterations that a client on this machine computes in that time, at its current load."""
    begin = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", _TRIED)
    return int(seconds * _TRIED / (time.perf_counter() - begin))


class Bomb(HonestPostgreSQL):
    """Asks for millions of rounds, once hostile."""

    seconds = SECONDS

    def log_in(self, session: ServerSession) -> None:
        """Send the challenge and hang up after the proof."""
        if self.hostile:
            challenge(session, rounds_of(self.seconds))
            receive(session)
            raise EOFError
        super().log_in(session)


class LongBomb(Bomb):
    """Asks for more rounds."""

    seconds = ASYNCPG_SECONDS


class ScramBomb(Lookup):
    """The driver has no limit of its own. asyncpg hashes on the event loop, so that the whole app stands still."""

    code = "B6"
    attack = "asks for millions of rounds of hashing at each login"
    reference = "CVE-2026-42198; https://datatracker.ietf.org/doc/html/rfc5802"
    notices = "that login is slow"
    rule = "slow-response"
    server = Bomb
    runs = (
        Run(Psycopg), Run(Asyncpg, "asyncpg", server=LongBomb, notices="an app that hangs"), Run(Psycopg2, "psycopg2"),
    )  # fmt: skip

    def meet(self) -> object:
        """Return the seconds of processor time that a refused login takes."""
        begin = time.process_time()
        with contextlib.suppress(Exception):  # the server hangs up in the end
            self.work()
        return time.process_time() - begin

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app computed for as long as a thousand honest logins take."""
        del service
        return isinstance(got, float) and got > 1
