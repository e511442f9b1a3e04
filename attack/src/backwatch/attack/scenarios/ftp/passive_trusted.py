"""C10 on ftplib, in an app that has it trust the server's word for where the data lies."""

from backwatch.attack.scenarios.ftp.passive_elsewhere import FtpPassiveElsewhere


class FtpPassiveTrusted(FtpPassiveElsewhere):
    """For a server behind address translation, say, the old behaviour was switched on again."""

    option = "trust_server_pasv_ipv4_address=True"
    notices = "a transfer that fails"
    trusts = True
