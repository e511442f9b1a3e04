"""B8: the server's greeting claims that the app is logged in. It needs no password for that."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.protocols.server import HostileServer, ServerSession
from backwatch.attack.scenarios import SECRET, Scenario


class _Welcoming(IMAP):
    """TLS from the first byte. Once hostile, the server asks for no login."""

    def turn(self) -> None:
        """Turn hostile in this one respect."""
        self.greeting = b"* PREAUTH mail.shop.example ready\r\n"
        self.drop()

    def serve(self, session: ServerSession) -> None:
        """Negotiate TLS, then serve commands."""
        session.secure()
        super().serve(session)


class ImapLoginSkipped(Scenario):
    """On imaplib, in an app that logs in only if asked; chain and name are checked."""

    code = "B8"
    attack = "treats the app as logged in before any login, and shows a mailbox of its own"
    reference = "https://datatracker.ietf.org/doc/html/rfc9051#section-11.3; ATT&CK T1557"
    driver = "imaplib"
    rule = "auth-downgraded"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, which asks for a login at first."""
        return _Welcoming(authority)

    def work(self) -> None:
        """Look into the mailbox."""
        self._look()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        return self._look()

    def _look(self) -> list[object]:
        import imaplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with imaplib.IMAP4_SSL("localhost", self.config.port, ssl_context=context, timeout=5) as box:
            welcome = box.state
            if box.state == "NONAUTH":
                box.login("shop", SECRET)
            box.select("INBOX", readonly=True)
            return [welcome, repr(box.search(None, "UNSEEN")[1])]

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app read the mailbox without logging in."""
        del service
        return isinstance(got, list) and got[0] == "AUTH"
