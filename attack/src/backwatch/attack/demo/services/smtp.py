"""A mail server that, once hostile, hides STARTTLS, as a man in the middle can.

A client that goes on regardless sends its password and its mails in plaintext.
"""

import base64
import binascii

from backwatch.attack.protocols.server import MAX_MESSAGE_BYTES, HostileServer, ServerSession


class SMTP(HostileServer):
    """Accepts order confirmations; once hostile, hides STARTTLS."""

    name = "smtp"
    attack = "hides STARTTLS, and takes logins in clear"
    reference = "CVE-2016-0772; https://github.com/tintinweb/striptls"
    driver = "smtplib"
    rule = "tls-stripped"

    def serve(self, session: ServerSession) -> None:
        """Serve commands until QUIT; every mail is accepted and discarded."""
        session.send(b"220 mail.shop.example ESMTP\r\n")
        while True:
            command = session.line()
            verb, _, rest = command.upper().partition(b" ")
            if verb in (b"EHLO", b"HELO"):
                session.send(self._greeting(session))
            elif verb == b"STARTTLS" and not self.hostile and not session.secured:
                session.send(b"220 go ahead\r\n")
                session.secure()
            elif verb == b"DATA":
                session.send(b"354 go ahead\r\n")
                self._take_mail(session)
                session.send(b"250 taken\r\n")
            elif verb == b"QUIT":
                session.send(b"221 bye\r\n")
                return
            elif verb == b"AUTH":
                session.send(self._login(session, command.split(b" ")[-1] if b" " in rest else b""))
            else:
                session.send(b"250 ok\r\n")

    def _take_mail(self, session: ServerSession) -> None:
        size = 0
        while (line := session.line()) != b".":
            size += len(line)
            if size > MAX_MESSAGE_BYTES:
                raise ValueError("the shop sends no mail of that size")
            self._record_plaintext(session, line)

    def _login(self, session: ServerSession, secret: bytes) -> bytes:
        if not session.secured and not self.hostile:
            return b"538 encryption required\r\n"
        try:
            self._record_plaintext(session, base64.b64decode(secret, validate=True))
        except binascii.Error:
            return b"501 what\r\n"
        return b"235 welcome\r\n"

    def _record_plaintext(self, session: ServerSession, what: bytes) -> None:
        if not session.secured:
            self.on_leak(what)

    def _greeting(self, session: ServerSession) -> bytes:
        offers = [b"mail.shop.example", b"8BITMIME"]
        if session.secured or self.hostile:
            offers.append(b"AUTH PLAIN")
        else:
            offers.append(b"STARTTLS")
        return b"".join(b"250-" + offer + b"\r\n" for offer in offers[:-1]) + b"250 " + offers[-1] + b"\r\n"
