"""A4 on smtplib: the server no longer offers STARTTLS, and the client refuses to go on."""

from backwatch.attack.techniques.smtp import SendsMail
from backwatch.attack.techniques.starttls import StartTLSHidden


class SmtpHidden(StartTLSHidden, SendsMail):
    """smtplib raises if STARTTLS is not offered. The attempt must raise an alert all the same."""
