"""E1: a response that drips, a byte now and then. No single read exceeds the client's time limit."""

import time

from backwatch.attack.protocols.http import Request, Web
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import Scenario

DRIPS = 12
EVERY_S = 0.4
"""Dripping takes almost five seconds in all; a real attack never ends."""


class Dripping(Web):
    """Its responses drip, once hostile."""

    def reply(self, session: ServerSession, request: Request) -> None:
        """Send the response at once, or in drips."""
        if self.hostile:
            for _ in range(DRIPS):
                session.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(EVERY_S)
        super().reply(session, request)


class Waits(Scenario):
    """An app that limits each read, as its client supports."""

    code = "E1"
    attack = "answers in drips, each within the time limit of a read, and keeps the app waiting"
    reference = "CVE-2021-3737; https://bugs.python.org/issue44022; ATT&CK T1499.004"
    notices = "time"
    rule = "slow-response"
    server = Dripping

    def meet(self) -> object:
        """Repeat the work, and return its duration in seconds."""
        begun = time.monotonic()
        self.work()
        return time.monotonic() - begun

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app waited far beyond its time limit."""
        del service
        return isinstance(got, float) and got > DRIPS * EVERY_S
