"""B8: the server says at once that the app is logged in already, as whoever does not know its password must."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Welcoming(IMAP):
    """TLS from the first byte. Nobody is asked who they are, once it has turned."""

    def turn(self) -> None:
        """From now on; hostile in nothing else."""
        self.greeting = b"* PREAUTH mail.shop.example ready\r\n"
        self.drop()

    def serve(self, session: Session) -> None:
        """TLS, then commands."""
        session.secure()
        super().serve(session)


class ImapLoginSkipped(Scenario):
    """On imaplib, in an app that logs in where it is asked to; chain and name are checked."""

    code = "B8"
    attack = "takes the app for logged in before it has said who it is, and shows a mailbox of its own"
    reference = "https://datatracker.ietf.org/doc/html/rfc9051#section-11.3; ATT&CK T1557"
    driver = "imaplib"
    rule = "auth-downgraded"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It asks for a login yet."""
        return _Welcoming(authority)

    def work(self) -> None:
        """Looks into the mailbox."""
        self._look()

    def meet(self) -> object:
        """The same."""
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
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app read the mailbox and had not logged in."""
        del service
        return isinstance(got, list) and got[0] == "AUTH"
