"""A8 on smtplib: a context for an old mail server accepts TLS 1.1 from any server."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.old_tls import OldTls, allow_old


class SmtpOldTls(OldTls):
    """smtplib uses the context as it is; chain and name are checked."""

    driver = "smtplib"
    option = 'minimum_version = TLSVersion.TLSv1_1, set_ciphers("DEFAULT@SECLEVEL=0")'
    honest = SMTP

    def work(self) -> None:
        """Send one mail."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import smtplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        allow_old(context)
        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            mail.starttls(context=context)
            mail.login("shop", SECRET)
            mail.sendmail("shop@shop.example", ["ann@example.com"], "Subject: Your order\r\n\r\nThank you.")
        return "sent"
