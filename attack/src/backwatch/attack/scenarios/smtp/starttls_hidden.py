"""A4 on smtplib: the server no longer offers STARTTLS, and the client refuses to go on."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class SmtpHidden(StartTLSHidden):
    """smtplib raises if STARTTLS is not offered. The attempt must raise an alert all the same."""

    driver = "smtplib"
    speaker = SMTP
    notices = "an exception, as from a server that is badly set up"

    def visit(self) -> object:
        """Send one mail."""
        import smtplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            with self.upgrading(smtplib.SMTPException):
                mail.starttls(context=context)
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"
