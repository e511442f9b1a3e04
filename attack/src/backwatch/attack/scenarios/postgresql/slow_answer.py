"""E1: an answer that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.techniques.postgresql import Psycopg2, ReadsCustomers

DRIP_S = 4.0


class Dripping(HonestPostgreSQL):
    """Lets wait, once it has turned."""

    def answers(self, session: Session, statement: bytes) -> bool:
        """After a while."""
        if self.hostile:
            time.sleep(DRIP_S)
        return super().answers(session, statement)


class SlowAnswer(Psycopg2, ReadsCustomers):
    """On psycopg2, with limits of its own that are never reached."""

    code = "E1"
    attack = "answers, but so late that the app is busy with waiting"
    reference = "https://attack.mitre.org/techniques/T1499/004/"
    notices = "that it is slow"
    rule = "slow-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Dripping(authority)

    def meet(self) -> object:
        """The same, by the clock: seconds."""
        begun = time.monotonic()
        self._read()
        return time.monotonic() - begun

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app has waited."""
        del service
        return isinstance(got, float) and got >= DRIP_S
