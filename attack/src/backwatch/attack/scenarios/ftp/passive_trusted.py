"""C10 on ftplib, in an app that has it trust the data address from the server."""

from backwatch.attack.scenarios.ftp.passive_elsewhere import FtpPassiveElsewhere


class FtpPassiveTrusted(FtpPassiveElsewhere):
    """The old behaviour was enabled again, for example for a server behind address translation."""

    option = "trust_server_pasv_ipv4_address=True"
    notices = "a transfer that fails"
    trusts = True
