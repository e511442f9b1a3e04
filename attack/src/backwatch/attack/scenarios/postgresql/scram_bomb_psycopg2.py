"""B6: the server names how often the client hashes the password: millions of times."""

import contextlib
import time

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.postgresql.scram_bomb import Bomb
from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg2


class ScramBomb(Psycopg2):
    """On psycopg2, which has no limit of its own."""

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
