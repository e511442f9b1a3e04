"""A6 on smtplib: the client accepts another certificate of the same authority."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.scenarios.smtp.starttls_hidden import SmtpHidden
from backwatch.attack.techniques.certificate import CertificateSwapped


class SmtpSwapped(CertificateSwapped, SmtpHidden):
    """smtplib has its context check chain and name, and pins nothing."""

    honest = SMTP
