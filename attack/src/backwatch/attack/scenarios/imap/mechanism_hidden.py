"""B7: the mail server stops offering challenge-response logins and accepts only the password itself."""

import base64

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Offering(IMAP):
    """Offers CRAM-MD5 until it turns hostile. STARTTLS is always offered."""

    _wants_password = False

    def turn(self) -> None:
        """Turn hostile in this one respect."""
        self._wants_password = True
        self.drop()

    def _untagged(self, session: Session, verb: bytes) -> bytes:
        response = super()._untagged(session, verb)
        return response if self._wants_password else response.replace(b"AUTH=PLAIN", b"AUTH=CRAM-MD5 AUTH=PLAIN")

    def _result(self, session: Session, verb: bytes, given: bytes) -> bytes:
        if verb == b"AUTHENTICATE":
            session.send(b"+ " + base64.b64encode(b"<7.1@mail.shop.example>") + b"\r\n")
            self.taken(base64.b64decode(session.line()))
        elif verb == b"LOGIN" and session.secured:
            self.taken(given)
        return super()._result(session, verb, given)


class ImapMechanismHidden(Scenario):
    """On imaplib, in an app that picks the best mechanism offered. Its context checks the chain, but not the name."""

    code = "B7"
    attack = "offers no login but by the password itself, where a proof of it was enough"
    reference = "https://datatracker.ietf.org/doc/html/rfc4422#section-6.1.2; ATT&CK T1562.010"
    driver = "imaplib"
    rule = "auth-downgraded"
    option = "check_hostname=False"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that records what it receives."""
        service = _Offering(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Look into the mailbox."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import imaplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        context.check_hostname = False
        with imaplib.IMAP4("localhost", self.config.port, timeout=5) as box:
            box.starttls(ssl_context=context)
            if "AUTH=CRAM-MD5" in box.capabilities:
                box.login_cram_md5("shop", SECRET)
            else:
                box.login("shop", SECRET)
            box.select("INBOX", readonly=True)
            return repr(box.search(None, "UNSEEN")[1])

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the password has arrived."""
        del got
        return any(SECRET.encode() in data for data in service.kept)
