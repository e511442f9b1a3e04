"""E1: an answer that drips, a byte now and then: no read ever takes long enough for the client's time limit."""

import time

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import Scenario

DRIPS = 12
EVERY_S = 0.4
"""Almost five seconds in all; a real one never ends."""


class Dripping(Web):
    """Its answers drip once it has turned."""

    def reply(self, session: Session, request: Request) -> None:
        """At once, or in drips."""
        if self.hostile:
            for _ in range(DRIPS):
                session.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(EVERY_S)
        super().reply(session, request)


class Waits(Scenario):
    """An app that limits each read, as clients let it."""

    code = "E1"
    attack = "answers in drips, each within the time limit of a read, and keeps the app waiting"
    reference = "CVE-2021-3737; https://bugs.python.org/issue44022; ATT&CK T1499.004"
    notices = "time"
    rule = "slow-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the dripping server."""
        return Dripping(authority)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.config.port}/rates"

    def meet(self) -> object:
        """The same work: how many times its own limit it took."""
        begun = time.monotonic()
        self.work()
        return time.monotonic() - begun

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app waited far beyond its time limit."""
        del service
        return isinstance(got, float) and got > DRIPS * EVERY_S
