"""A6 on smtplib: the client accepts another certificate of the same authority."""

from backwatch.attack.techniques.certificate import CertificateSwapped
from backwatch.attack.techniques.smtp import SendsMail


class SmtpSwapped(CertificateSwapped, SendsMail):
    """smtplib has its context check chain and name, and pins nothing."""
