"""A POP3 server with STLS; once hostile, it hides STLS."""

from backwatch.attack.protocols.server import HostileServer, ServerSession


class POP3(HostileServer):
    """Serves a mailbox.

    Attributes:
        greeting: Its first line.
    """

    name = "pop3"
    attack = "hides STLS, and takes logins in clear"
    reference = "https://datatracker.ietf.org/doc/html/rfc8314"
    driver = "poplib"
    rule = "tls-stripped"

    greeting = b"+OK mail.shop.example ready\r\n"

    def serve(self, session: ServerSession) -> None:
        """Serve commands until QUIT."""
        session.send(self.greeting)
        while True:
            verb, _, given = session.line().partition(b" ")
            verb = verb.upper()
            if verb == b"STLS" and not self.hostile and not session.secured:
                session.send(b"+OK go ahead\r\n")
                session.secure()
            else:
                session.send(self._answer(session, verb, given))
            if verb == b"QUIT":
                return

    def _answer(self, session: ServerSession, verb: bytes, given: bytes) -> bytes:
        plain = not session.secured
        if verb == b"CAPA":
            offers = b"STLS\r\n" if plain and not self.hostile else b"USER\r\n"
            return b"+OK\r\nTOP\r\nUIDL\r\n" + offers + b".\r\n"
        if verb in (b"USER", b"PASS") and plain:
            if not self.hostile:
                return b"-ERR encryption required\r\n"
            self.on_leak(given)
        if verb == b"STAT":
            return b"+OK 2 640\r\n"
        if verb == b"LIST":
            return b"+OK 2 messages\r\n1 320\r\n2 320\r\n.\r\n"
        return b"-ERR what\r\n" if verb == b"STLS" else b"+OK\r\n"
