"""A4 on smtplib: STARTTLS is no longer offered, and the client refuses to go on."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.entries import SECRET, run
from backwatch.attack.entries._starttls import StartTLSHidden


class SmtpHidden(StartTLSHidden):
    """smtplib raises where STARTTLS is not offered; what was tried must be told all the same."""

    driver = "smtplib"
    speaker = SMTP
    notices = "an exception, as from a server that is badly set up"

    def visit(self) -> object:
        """Sends one mail."""
        import smtplib
        import ssl

        context = ssl.create_default_context(cafile=self.place.ca_file)
        with smtplib.SMTP("localhost", self.place.port, timeout=5) as mail:
            with self.upgrading(smtplib.SMTPException):
                mail.starttls(context=context)
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"


if __name__ == "__main__":
    run(SmtpHidden)
