"""A12: an attacker breaks one handshake of an app that retries without TLS, and reads everything."""

from abc import abstractmethod

from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.unverified import TriesUnverified


class BreaksThenListens(HostileServer):
    """A mixin for a server that breaks one session once hostile. Later ones have no TLS. List it first.

    Attributes:
        listens: Whether it has turned hostile.
    """

    _to_break = 0
    listens = False

    def turn(self) -> None:
        """Break the next handshake; stay honest otherwise."""
        self._to_break, self.listens = 1, True
        self.drop()

    def serve(self, session: Session) -> None:
        """Break one session, and serve the others in plaintext."""
        if self._to_break:
            self._to_break -= 1
        elif self.listens:
            self.hear(session)
        else:
            super().serve(session)  # pyright: ignore[reportAbstractUsage]  the next base class implements it

    @abstractmethod
    def hear(self, session: Session) -> None:
        """Serve a session without TLS; ``kept`` must record its content."""


class RetriesInClear(TriesUnverified):
    """An app that retries without TLS after a failed handshake, by ``visit(checked=False)``."""

    code = "A12"
    attack = "breaks a handshake, so that the app tries again without TLS, and hears the password"
    reference = "CVE-2020-25694; https://cwe.mitre.org/data/definitions/757.html; ATT&CK T1562.010"
    rule = "tls-stripped"
    mixin = BreaksThenListens

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response and its password was overheard."""
        return isinstance(got, list) and any(SECRET.encode() in data for data in service.kept)
