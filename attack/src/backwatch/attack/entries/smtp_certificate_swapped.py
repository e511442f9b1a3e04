"""A6 on smtplib: another certificate is taken for the old one's equal."""

from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.smtp_starttls_hidden import SmtpHidden


class SmtpSwapped(CertificateSwapped, SmtpHidden):
    """smtplib has its context check chain and name, and remembers nothing."""

    honest = SMTP


if __name__ == "__main__":
    run(SmtpSwapped)
