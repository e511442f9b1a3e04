"""A5: an attacker breaks one handshake of an app that then retries without verification."""

from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer, ServerSession, combine
from backwatch.attack.scenarios import Scenario


class BreaksHandshakes(HostileServer):
    """A mixin for a server: once hostile, it breaks the first session."""

    _breaks = False

    def turn(self) -> None:
        """Break the next handshake; stay honest otherwise."""
        self._breaks = True
        self.drop()

    def serve(self, session: ServerSession) -> None:
        """Break one handshake."""
        if self._breaks:
            self._breaks = False
            return
        super().serve(session)  # pyright: ignore[reportAbstractUsage]  the next base class implements it


class TriesUnverified(Scenario):
    """An app that skips certificate verification after a failed handshake.

    Attributes:
        mixin: Base class that breaks a handshake of the server.
    """

    code = "A5"
    attack = "breaks a handshake, so that the app tries again without checking whom it speaks to"
    reference = "https://cwe.mitre.org/data/definitions/295.html; ATT&CK T1557"
    rule = "unverified-session"
    mixin: ClassVar[type[HostileServer]] = BreaksHandshakes

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a service that is honest but for one handshake."""
        return combine(cls.mixin, cls.server)(authority)

    @abstractmethod
    def visit(self, *, checked: bool) -> object:
        """Do the work, over TLS."""

    def work(self) -> None:
        """Work over verified TLS."""
        self.visit(checked=True)

    def meet(self) -> object:
        """Work over verified TLS; retry without verification."""
        try:
            return self.visit(checked=True)
        except Exception:  # noqa: BLE001  the driver's own exception, of any class
            return ["unchecked", self.visit(checked=False)]

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response over unverified TLS."""
        del service
        return isinstance(got, list)
