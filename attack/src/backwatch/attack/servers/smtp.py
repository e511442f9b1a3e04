"""A mail server that, once it has turned, no longer offers STARTTLS: whoever sits between can cut the word out.

A client that goes on regardless sends its password and its mails in plaintext.
"""

from backwatch.attack.servers import HostileServer, Session


class SMTP(HostileServer):
    """Order confirmations are sent through it; then it hides STARTTLS."""

    name = "smtp"
    attack = "hides STARTTLS from a client that has always used it"
    reference = "CVE-2016-0772; https://github.com/tintinweb/striptls"
    driver = "smtplib"
    rule = "tls-stripped"

    def serve(self, session: Session) -> None:
        """Commands until QUIT; every mail is taken and thrown away."""
        session.send(b"220 mail.shop.example ESMTP\r\n")
        while True:
            verb = session.line().upper()
            if verb.startswith(b"EHLO"):
                session.send(self._greeting(session))
            elif verb == b"STARTTLS" and not self.hostile:
                session.send(b"220 go ahead\r\n")
                session.secure()
            elif verb == b"DATA":
                session.send(b"354 go ahead\r\n")
                while session.line() != b".":
                    pass
                session.send(b"250 taken\r\n")
            elif verb == b"QUIT":
                session.send(b"221 bye\r\n")
                return
            elif verb.startswith(b"AUTH"):
                session.send(b"235 welcome\r\n" if session.secured else b"538 encryption required\r\n")
            else:
                session.send(b"250 ok\r\n")

    def _greeting(self, session: Session) -> bytes:
        offers = [b"mail.shop.example", b"8BITMIME"]
        if session.secured:
            offers.append(b"AUTH PLAIN")
        elif not self.hostile:
            offers.append(b"STARTTLS")
        return b"".join(b"250-" + one + b"\r\n" for one in offers[:-1]) + b"250 " + offers[-1] + b"\r\n"
