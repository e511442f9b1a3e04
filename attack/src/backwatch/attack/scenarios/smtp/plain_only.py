"""B7: the mail server stops offering challenge-response logins and accepts only the password itself."""

import base64
import binascii

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Offering(SMTP):
    """Offers CRAM-MD5 and PLAIN; once hostile PLAIN alone, with STARTTLS still."""

    _wants_password = False

    def turn(self) -> None:
        """Turn hostile in this one respect."""
        self._wants_password = True
        self.drop()

    def _greeting(self, session: Session) -> bytes:
        offers = super()._greeting(session)
        return offers if self._wants_password else offers.replace(b"AUTH PLAIN", b"AUTH CRAM-MD5 PLAIN")

    def _login(self, session: Session, secret: bytes) -> bytes:
        if secret == b"CRAM-MD5":
            session.send(b"334 " + base64.b64encode(b"<7.1@mail.shop.example>") + b"\r\n")
            secret = session.line()
        try:
            self.taken(base64.b64decode(secret, validate=True))
        except binascii.Error:
            return b"501 what\r\n"
        return b"235 welcome\r\n"


class SmtpPlainOnly(Scenario):
    """On smtplib, which picks the best mechanism offered. Its context checks the chain, but not the name."""

    code = "B7"
    attack = "offers no login but by the password itself, where a proof of it was enough"
    reference = "https://datatracker.ietf.org/doc/html/rfc4422#section-6.1.2; ATT&CK T1562.010"
    driver = "smtplib"
    rule = "auth-downgraded"
    option = "check_hostname=False"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that records what it receives."""
        service = _Offering(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Send one mail."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import smtplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        context.check_hostname = False
        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            mail.starttls(context=context)
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the password has arrived."""
        del got
        return any(SECRET.encode() in data for data in service.kept)
