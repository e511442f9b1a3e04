"""A4 on ftplib: the server refuses AUTH TLS, and the client stops."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class FtpRefused(StartTLSHidden):
    """ftplib's FTP_TLS raises if AUTH TLS is refused. The attempt must raise an alert all the same."""

    attack = "refuses AUTH TLS, and takes logins in clear"
    driver = "ftplib"
    notices = "an exception, as from a server that is badly set up"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the service, which records plaintext."""
        service = FTP(authority)
        service.refuses_tls = True
        service.taken = service.kept.append
        return service

    def visit(self) -> object:
        """Fetch the prices."""
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
