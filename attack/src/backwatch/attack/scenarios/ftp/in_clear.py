"""A4 on ftplib, in an app that takes a refused AUTH TLS for a reason to log in in clear."""

from backwatch.attack.scenarios.ftp.auth_tls_refused import FtpRefused


class FtpInClear(FtpRefused):
    """The app catches ftplib's exception and goes on: password and files are read on the way."""

    notices = "nothing"
    goes_on = True
