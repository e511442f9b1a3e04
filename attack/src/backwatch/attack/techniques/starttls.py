"""A4: a man in the middle hides or refuses STARTTLS, and waits for plaintext logins.

The server plays both roles; the client sees no difference.
"""

from contextlib import suppress
from typing import ClassVar

from backwatch.attack.scenarios import SECRET, Scenario


class UpgradesToTls(Scenario):
    """An app that upgrades its sessions to TLS, within :meth:`upgrading`, before it logs in.

    Attributes:
        goes_on: Whether it continues in plaintext after a refused upgrade.
    """

    goes_on: ClassVar[bool] = False

    def upgrading(self, refusal: type[Exception]) -> suppress:
        """Return the context around the upgrade: a careless app suppresses the refusal."""
        return suppress(*((refusal,) if self.goes_on else ()))


class StartTLSHidden(Scenario):
    """A mixin for an app that upgrades its sessions to TLS. List it first among the bases."""

    code = "A4"
    attack = "hides STARTTLS, and takes logins in clear"
    reference = "CVE-2016-0772; https://github.com/tintinweb/striptls; ATT&CK T1557"
    rule = "tls-stripped"
    notices = "an exception, as from a server that is badly set up"
    captures = SECRET.encode()
