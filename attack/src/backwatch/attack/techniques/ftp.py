"""An app that fetches a price list, on ftplib."""

from typing import ClassVar

from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import UpgradesToTls


class FetchesPrices(UpgradesToTls):
    """An app that protects its session and its transfers.

    Attributes:
        trusts: Whether it connects to any address that the server announces for data.
    """

    driver = "ftplib"
    server = FTP
    trusts: ClassVar[bool] = False

    def work(self) -> object:
        """Return the size of the list."""
        import ftplib

        prices: list[bytes] = []
        with ftplib.FTP_TLS(context=self.tls_context(), timeout=5) as ftp:  # noqa: S321
            vars(ftp)["trust_server_pasv_ipv4_address"] = self.trusts  # the type stubs lack this attribute
            ftp.connect("localhost", self.config.port)
            protected = False
            with self.upgrading(ftplib.error_perm):
                ftp.auth()
                protected = True
            ftp.login("shop", SECRET, secure=protected)
            if protected:
                ftp.prot_p()
            ftp.retrbinary("RETR prices.csv", prices.append)
        return len(b"".join(prices))
