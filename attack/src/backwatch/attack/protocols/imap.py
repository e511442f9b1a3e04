"""An IMAP server with STARTTLS; once hostile, it hides STARTTLS."""

from backwatch.attack.protocols.server import HostileServer, ServerSession


class IMAP(HostileServer):
    """Serves a mailbox.

    Attributes:
        greeting: Its first line.
    """

    name = "imap"
    attack = "hides STARTTLS, and takes logins in clear"
    reference = "https://datatracker.ietf.org/doc/html/rfc8314"
    driver = "imaplib"
    rule = "tls-stripped"

    greeting = b"* OK mail.shop.example ready\r\n"

    def serve(self, session: ServerSession) -> None:
        """Serve commands until LOGOUT."""
        session.send(self.greeting)
        while True:
            tag, _, rest = session.line().partition(b" ")
            verb, _, given = rest.partition(b" ")
            verb = verb.upper()
            if verb == b"STARTTLS" and not self.hostile and not session.secured:
                session.send(tag + b" OK go ahead\r\n")
                session.secure()
                continue
            session.send(self._untagged(session, verb) + tag + self._result(session, verb, given))
            if verb == b"LOGOUT":
                return

    def _untagged(self, session: ServerSession, verb: bytes) -> bytes:
        if verb == b"CAPABILITY":
            plain = not session.secured and not self.hostile
            return b"* CAPABILITY IMAP4rev1" + (b" STARTTLS LOGINDISABLED" if plain else b" AUTH=PLAIN") + b"\r\n"
        if verb in (b"SELECT", b"EXAMINE"):
            return b"* 3 EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 1] valid\r\n"
        if verb == b"SEARCH":
            return b"* SEARCH 1 2 3\r\n"
        return b"* BYE\r\n" if verb == b"LOGOUT" else b""

    def _result(self, session: ServerSession, verb: bytes, given: bytes) -> bytes:
        if verb == b"LOGIN":
            if not session.secured and not self.hostile:
                return b" NO [PRIVACYREQUIRED] encryption required\r\n"
            if not session.secured:
                self.on_leak(given)
        return b" BAD not now\r\n" if verb == b"STARTTLS" else b" OK done\r\n"
