"""A7 on smtplib: a context that ignores dates accepts an expired certificate."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.expired import ShowsExpired, dateless


class SmtpExpired(ShowsExpired):
    """smtplib uses the context as it is; chain and name are checked."""

    driver = "smtplib"
    honest = SMTP

    def work(self) -> None:
        """Send one mail."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import smtplib

        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            mail.starttls(context=dateless(self.config.ca_file))
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"
