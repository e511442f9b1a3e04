"""A4: a man in the middle hides or refuses STARTTLS, and waits for plaintext logins.

The server plays both roles; the client sees no difference.
"""

from abc import abstractmethod
from contextlib import suppress
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class StartTLSHidden(Scenario):
    """An app that upgrades its sessions to TLS before it logs in.

    Attributes:
        speaker: Class of the service.
        goes_on: Whether it continues in plaintext after a refused upgrade.
    """

    code = "A4"
    attack = "hides STARTTLS, and takes logins in clear"
    reference = "CVE-2016-0772; https://github.com/tintinweb/striptls; ATT&CK T1557"
    rule = "tls-stripped"

    speaker: ClassVar[type[HostileServer]]
    goes_on = False

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the service, which records plaintext."""
        service = cls.speaker(authority)
        service.taken = service.kept.append
        return service

    @abstractmethod
    def visit(self) -> object:
        """Connect, upgrade, log in, work and leave. The upgrade runs within :meth:`upgrading`."""

    def upgrading(self, refusal: type[Exception]) -> suppress:
        """Return the context around the upgrade: a careless app suppresses the refusal."""
        return suppress(*((refusal,) if self.goes_on else ()))

    def work(self) -> None:
        """Make one visit."""
        self.visit()

    def meet(self) -> object:
        """Make one more visit."""
        return self.visit()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the password arrived in plaintext."""
        del got
        return any(SECRET.encode() in data for data in service.kept)
