"""A1 on smtplib: the app sends mail through a second server without STARTTLS."""

from backwatch.attack.techniques.second import AttachesInClear
from backwatch.attack.techniques.smtp import SendsMail


class SmtpSecond(AttachesInClear, SendsMail):
    """A relay without logins. One line is missing, and the mail can be read on the network."""

    attack = "is handed mail in plaintext beside another one, so that who is on the way reads it"
    rule = "plaintext-session"
    confidential = b"Your order"

    def visit(self, host: str, *, careful: bool) -> object:
        """Send one mail."""
        return self.send(self.tls_context(), host=host, upgrades=careful)
