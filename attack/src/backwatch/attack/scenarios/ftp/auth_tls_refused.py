"""A4 on ftplib: the server refuses AUTH TLS, and the client stops."""

from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.techniques.ftp import FetchesPrices
from backwatch.attack.techniques.starttls import StartTLSHidden


class _StarttlsRefusingFtp(FTP):
    refuses_tls = True


class FtpRefused(StartTLSHidden, FetchesPrices):
    """ftplib's FTP_TLS raises if AUTH TLS is refused. The attempt must raise an alert all the same."""

    attack = "refuses AUTH TLS, and takes logins in clear"
    server = _StarttlsRefusingFtp
