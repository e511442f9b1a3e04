"""B1: the mail server no longer offers APOP, so the client sends the password itself."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Asking(POP3):
    """The greeting supports APOP until the server turns hostile. STLS is always offered."""

    greeting = b"+OK mail.shop.example ready <7.1@mail.shop.example>\r\n"

    def turn(self) -> None:
        """Drop APOP from the greeting; stay honest otherwise."""
        self.greeting = POP3.greeting
        self.drop()

    def _answer(self, session: Session, verb: bytes, given: bytes) -> bytes:
        if verb in (b"APOP", b"PASS"):
            self.taken(given)
        return super()._answer(session, verb, given)


class Pop3PasswordAsked(Scenario):
    """On poplib, in an app that falls back from APOP. Its context checks the chain, but not the name."""

    code = "B1"
    attack = "takes no proof of the password any more, and so is sent the password itself"
    reference = "https://datatracker.ietf.org/doc/html/rfc1939#page-15; ATT&CK T1187"
    driver = "poplib"
    rule = "auth-downgraded"
    option = "check_hostname=False"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that records what it receives."""
        service = _Asking(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Look into the mailbox."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import poplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        context.check_hostname = False
        box = poplib.POP3("localhost", self.config.port, timeout=5)
        try:
            box.stls(context=context)
            try:
                box.apop("shop", SECRET)
            except poplib.error_proto:
                box.user("shop")
                box.pass_(SECRET)
            return box.stat()
        finally:
            box.quit()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the password has arrived."""
        del got
        return SECRET.encode() in service.kept
