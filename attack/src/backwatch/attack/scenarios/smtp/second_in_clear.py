"""A1 on smtplib: the app sends mail through a second server without STARTTLS."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, SMTP):
    pass


class SmtpSecond(AttachesInClear):
    """A relay without logins. One line is missing, and the mail can be read on the network."""

    attack = "is handed mail in plaintext beside another one, so that who is on the way reads it"
    driver = "smtplib"
    rule = "plaintext-session"
    service_class = _Both
    said = b"Your order"

    def visit(self, host: str, *, careful: bool) -> object:
        """Send one mail."""
        import smtplib
        import ssl

        with smtplib.SMTP(host, self.config.port, timeout=5) as mail:
            if careful:
                mail.starttls(context=ssl.create_default_context(cafile=self.config.ca_file))
                mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"
