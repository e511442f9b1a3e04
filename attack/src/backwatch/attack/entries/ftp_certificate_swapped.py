"""A6 on ftplib: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.ftp_auth_tls_refused import FtpRefused
from backwatch.attack.protocols.ftp import FTP


class FtpSwapped(CertificateSwapped, FtpRefused):
    """ftplib has its context check chain and name, and remembers nothing."""

    honest = FTP


if __name__ == "__main__":
    run(FtpSwapped)
