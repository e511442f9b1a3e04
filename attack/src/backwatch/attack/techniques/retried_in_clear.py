"""A12: an attacker breaks one handshake of an app that retries without TLS, and reads everything."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.second import InClear
from backwatch.attack.techniques.unverified import BreaksHandshakes, TriesUnverified


class BreaksThenListens(BreaksHandshakes, InClear):
    """A mixin for a server that breaks one session once hostile. Later ones have no TLS."""

    def turn(self) -> None:
        """Break the next handshake, and overhear what follows; stay honest otherwise."""
        self.listened_to = True
        super().turn()


class RetriesInClear(TriesUnverified):
    """An app that retries without TLS after a failed handshake, by ``visit(checked=False)``."""

    code = "A12"
    attack = "breaks a handshake, so that the app tries again without TLS, and hears the password"
    reference = "CVE-2020-25694; https://cwe.mitre.org/data/definitions/757.html; ATT&CK T1562.010"
    rule = "tls-stripped"
    mixin = BreaksThenListens

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app got its response and its password was overheard."""
        return isinstance(got, list) and SECRET.encode() in b"".join(service.kept)
