"""A4: whoever stands between app and service cuts the offer of TLS out, or refuses it, and waits for logins in clear.

The service plays both: nothing differs for the client.
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
        speaker: The service.
        goes_on: Whether it takes a refused upgrade for a reason to do without.
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
        """Connects, upgrades, logs in, works, leaves; the upgrade stands within :meth:`upgrading`."""

    def upgrading(self, refusal: type[Exception]) -> suppress:
        """What a careless app puts around the upgrade, and a careful one does not."""
        return suppress(*((refusal,) if self.goes_on else ()))

    def work(self) -> None:
        """One visit."""
        self.visit()

    def meet(self) -> object:
        """One more."""
        return self.visit()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the password arrived in plaintext."""
        del got
        return any(SECRET.encode() in said for said in service.kept)
