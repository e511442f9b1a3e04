"""A6 on ftplib: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.scenarios.ftp.auth_tls_refused import FtpRefused
from backwatch.attack.techniques.certificate import CertificateSwapped


class FtpSwapped(CertificateSwapped, FtpRefused):
    """ftplib has its context check chain and name, and remembers nothing."""

    honest = FTP
