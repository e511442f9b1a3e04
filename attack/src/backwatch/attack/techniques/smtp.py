"""An app that sends mail, on smtplib."""

import ssl
from collections.abc import Sequence

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.techniques.starttls import UpgradesToTls

MAIL = "Subject: Your order\r\n\r\nThank you."


class SendsMail(UpgradesToTls):
    """An app that upgrades its session, logs in and confirms an order."""

    driver = "smtplib"
    server = SMTP

    def work(self) -> object:
        """Send one mail."""
        return self.send(self.tls_context())

    def send(
        self, context: ssl.SSLContext | None, recipients: Sequence[str] = ("ann@example.com",), *,
        host: str = "localhost", upgrades: bool = True,
    ) -> int:  # fmt: skip
        """Send a mail, and return the number of recipients that were accepted.

        Args:
            context: Context of the upgrade; ``None``: smtplib's default, which verifies nothing.
            recipients: Addresses.
            host: Name of the server.
            upgrades: Whether the app upgrades its session and logs in.
        """
        import smtplib

        with smtplib.SMTP(host, self.config.port, timeout=5) as mail:
            if upgrades:
                with self.upgrading(smtplib.SMTPException):
                    mail.starttls(context=context)
                mail.login("shop", SECRET)
            return len(recipients) - len(mail.sendmail("shop@shop.example", recipients, MAIL))
