"""A6 on ftplib: the client accepts another certificate of the same authority."""

from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.scenarios.ftp.auth_tls_refused import FtpRefused
from backwatch.attack.techniques.certificate import CertificateSwapped


class FtpSwapped(CertificateSwapped, FtpRefused):
    """ftplib has its context check chain and name, and pins nothing."""

    honest = FTP
