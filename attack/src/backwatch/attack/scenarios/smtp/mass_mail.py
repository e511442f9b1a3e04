"""G9: a visitor enters two hundred addresses instead of one. The app mails all of them."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

MANY = 200


class SmtpMassMail(Scenario):
    """On smtplib, in an app that splits the address field at its commas."""

    code = "G9"
    attack = "has the app send one mail to two hundred strangers"
    reference = "ATT&CK T1586.002; https://cwe.mitre.org/data/definitions/799.html"
    driver = "smtplib"
    rule = "mass-mail"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that stays honest."""
        return SMTP(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        del service

    def send(self, field: str) -> int:
        """Send one mail to each address in the field, and return their number."""
        import smtplib
        import ssl

        recipients = field.split(",")
        with smtplib.SMTP("localhost", self.config.port, timeout=5) as mail:
            mail.starttls(context=ssl.create_default_context(cafile=self.config.ca_file))
            mail.login("shop", SECRET)
            refused = mail.sendmail("shop@shop.example", recipients, "Subject: Your order\r\n\r\nThank you.")
        return len(recipients) - len(refused)

    def work(self) -> None:
        """Confirm an order."""
        self.send("ann@example.com")

    def meet(self) -> object:
        """Confirm the attacker's order."""
        return self.send(",".join(f"stranger{number}@example.com" for number in range(MANY)))

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether all mails were accepted."""
        del service
        return got == MANY
