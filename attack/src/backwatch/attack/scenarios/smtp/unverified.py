"""A5 on smtplib: ``starttls()`` without a context verifies no certificate."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.unverified import BreaksHandshakes, TriesUnverified


class _Breaking(BreaksHandshakes, SMTP):
    pass


class SmtpUnverified(TriesUnverified):
    """This is smtplib's default without a context."""

    driver = "smtplib"
    option = "starttls() without a context"
    service_class = _Breaking

    def visit(self, *, checked: bool) -> object:
        """Send one mail."""
        import smtplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file) if checked else None
        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            mail.starttls(context=context)
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"
