"""A4 on ftplib: AUTH TLS is refused, and the client with it."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class FtpRefused(StartTLSHidden):
    """ftplib's FTP_TLS raises where AUTH TLS is refused; what was tried must be told all the same."""

    attack = "refuses AUTH TLS, and takes logins in clear"
    driver = "ftplib"
    notices = "an exception, as from a server that is badly set up"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """What is said in clear is kept."""
        service = FTP(authority)
        service.refuses_tls = True
        service.taken = service.kept.append
        return service

    def visit(self) -> object:
        """Fetches the prices."""
        import ftplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        prices: list[bytes] = []
        with ftplib.FTP_TLS(context=context, timeout=5) as ftp:  # noqa: S321
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
