"""A4 on ftplib, in an app that logs in in plaintext when AUTH TLS is refused."""

from backwatch.attack.scenarios.ftp.auth_tls_refused import FtpRefused


class FtpInClear(FtpRefused):
    """The app catches ftplib's exception and goes on. Password and files can be read on the network."""

    notices = "nothing"
    goes_on = True
