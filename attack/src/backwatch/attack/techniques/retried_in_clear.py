"""A12: who breaks one handshake of an app that then tries again without TLS reads all that it says."""

from abc import abstractmethod

from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.unverified import TriesUnverified


class BreaksThenListens(HostileServer):
    """Goes before a service in the list of bases: once it has turned, one session ends, and the others have no TLS.

    Attributes:
        listens: Whether it has turned.
    """

    _to_break = 0
    listens = False

    def turn(self) -> None:
        """Break the next handshake; stay honest otherwise."""
        self._to_break, self.listens = 1, True
        self.drop()

    def serve(self, session: Session) -> None:
        """Breaks one, hears the others."""
        if self._to_break:
            self._to_break -= 1
        elif self.listens:
            self.hear(session)
        else:
            super().serve(session)  # pyright: ignore[reportAbstractUsage]  the service's, which follows

    @abstractmethod
    def hear(self, session: Session) -> None:
        """Serves a session without TLS; what is said in it is to be in ``kept``."""


class RetriesInClear(TriesUnverified):
    """An app that takes a failed handshake for a reason to do without TLS. ``visit(checked=False)`` does."""

    code = "A12"
    attack = "breaks a handshake, so that the app tries again without TLS, and hears the password"
    reference = "CVE-2020-25694; https://cwe.mitre.org/data/definitions/757.html; ATT&CK T1562.010"
    rule = "tls-stripped"

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response and its password was overheard."""
        return isinstance(got, list) and any(SECRET.encode() in said for said in service.kept)
