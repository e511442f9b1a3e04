"""B1, B7: a mail server accepts only the password itself, where a proof of it was enough."""

import ssl

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

CHALLENGE = b"<7.1@mail.shop.example>"


class OffersProof(HostileServer):
    """A mixin for a server that accepts a proof of the password until it turns hostile; it stays honest otherwise.

    Attributes:
        wants_password: Whether it has turned hostile.
    """

    wants_password = False

    def turn(self) -> None:
        """Turn hostile in this one respect."""
        self.wants_password = True
        self.drop()


class PasswordWanted(Scenario):
    """A mixin for an app that sends what the server asks for. Its context checks the chain, but not the name."""

    code = "B7"
    attack = "offers no login but by the password itself, where a proof of it was enough"
    reference = "https://datatracker.ietf.org/doc/html/rfc4422#section-6.1.2; ATT&CK T1562.010"
    rule = "auth-downgraded"
    option = "check_hostname=False"
    captures = SECRET.encode()

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that does not check the name."""
        context = super().tls_context()
        context.check_hostname = False
        return context
