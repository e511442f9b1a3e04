"""A5: who breaks one handshake of an app that then tries again without looking has it where they want it."""

from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import Scenario


class BreaksHandshakes(HostileServer):
    """Goes before a service in the list of bases: the first session after it turned ends before it began."""

    _breaks = False

    def turn(self) -> None:
        """Break the next handshake; stay honest otherwise."""
        self._breaks = True
        self.drop()

    def serve(self, session: Session) -> None:
        """Breaks one."""
        if self._breaks:
            self._breaks = False
            return
        super().serve(session)  # pyright: ignore[reportAbstractUsage]  the service's, which follows


class TriesUnverified(Scenario):
    """An app that takes a failed handshake for a reason not to check the certificate.

    Attributes:
        service_class: The service.
    """

    code = "A5"
    attack = "breaks a handshake, so that the app tries again without checking whom it speaks to"
    reference = "https://cwe.mitre.org/data/definitions/295.html; ATT&CK T1557"
    rule = "unverified-session"

    service_class: ClassVar[type[HostileServer]]

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest but for one handshake."""
        return cls.service_class(authority)

    @abstractmethod
    def visit(self, *, checked: bool) -> object:
        """The work, over TLS."""

    def work(self) -> None:
        """Over verified TLS."""
        self.visit(checked=True)

    def meet(self) -> object:
        """Over verified TLS; else without looking."""
        try:
            return self.visit(checked=True)
        except OSError:
            return ["unchecked", self.visit(checked=False)]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response over unverified TLS."""
        del service
        return isinstance(got, list)
