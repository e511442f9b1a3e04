"""A5 on smtplib: ``starttls()`` without a context verifies no certificate."""

from backwatch.attack.techniques.smtp import SendsMail
from backwatch.attack.techniques.unverified import TriesUnverified


class SmtpUnverified(TriesUnverified, SendsMail):
    """This is smtplib's default without a context."""

    option = "starttls() without a context"

    def visit(self, *, checked: bool) -> object:
        """Send one mail."""
        return self.send(self.tls_context() if checked else None)
