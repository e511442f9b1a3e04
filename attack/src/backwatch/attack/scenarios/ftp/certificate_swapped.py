"""A6 on ftplib: the client accepts another certificate of the same authority."""

from backwatch.attack.techniques.certificate import CertificateSwapped
from backwatch.attack.techniques.ftp import FetchesPrices


class FtpSwapped(CertificateSwapped, FetchesPrices):
    """ftplib has its context check chain and name, and pins nothing."""
