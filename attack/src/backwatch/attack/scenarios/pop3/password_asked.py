"""B1 on poplib: the server no longer offers APOP, so the client sends the password itself."""

from typing import Any

from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.password_wanted import CHALLENGE, OffersProof, PasswordWanted
from backwatch.attack.techniques.pop3 import ReadsPop3


class _PasswordRequestingPop3(OffersProof, POP3):
    """The greeting supports APOP until the server turns hostile. STLS is always offered."""

    greeting = b"+OK mail.shop.example ready " + CHALLENGE + b"\r\n"

    def turn(self) -> None:
        """Drop APOP from the greeting."""
        self.greeting = POP3.greeting
        super().turn()

    def _answer(self, session: ServerSession, verb: bytes, given: bytes) -> bytes:
        if verb in (b"APOP", b"PASS"):
            self.on_leak(given)
        return super()._answer(session, verb, given)


class Pop3PasswordAsked(PasswordWanted, ReadsPop3):
    """The app falls back from APOP."""

    code = "B1"
    attack = "takes no proof of the password any more, and so is sent the password itself"
    reference = "https://datatracker.ietf.org/doc/html/rfc1939#page-15; ATT&CK T1187"
    server = _PasswordRequestingPop3

    def log_in(self, box: Any) -> None:
        """Log in by APOP, or else by the password."""
        import poplib

        try:
            box.apop("shop", SECRET)
        except poplib.error_proto:
            super().log_in(box)
