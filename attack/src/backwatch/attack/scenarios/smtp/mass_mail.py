"""G9: a visitor enters two hundred addresses instead of one. The app mails all of them."""

from backwatch.attack.techniques.smtp import SendsMail

MANY = 200


class SmtpMassMail(SendsMail):
    """On smtplib, in an app that splits the address field at its commas."""

    code = "G9"
    attack = "has the app send one mail to two hundred strangers"
    reference = "ATT&CK T1586.002; https://cwe.mitre.org/data/definitions/799.html"
    rule = "mass-mail"
    stays_honest = True
    shows = str(MANY)

    def meet(self) -> object:
        """Confirm the attacker's order, and return the number of accepted mails."""
        field = ",".join(f"stranger{number}@example.com" for number in range(MANY))
        return self.send(self.tls_context(), field.split(","))
