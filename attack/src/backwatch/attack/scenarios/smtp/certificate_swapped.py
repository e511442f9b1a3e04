"""A6 on smtplib: another certificate is taken for the old one's equal."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios.smtp.starttls_hidden import SmtpHidden
from backwatch.attack.techniques.certificate import CertificateSwapped


class SmtpSwapped(CertificateSwapped, SmtpHidden):
    """smtplib has its context check chain and name, and remembers nothing."""

    honest = SMTP
