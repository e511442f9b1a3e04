"""C10: an FTP server sends the client to another host for its data. The client scans ports for the attacker."""

import contextlib
import socket
import threading

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

ELSEWHERE = "127.0.0.2"
"""Another host, on loopback."""


class Misleading(FTP):
    """Announces another host for its data. ``kept`` records connections there, which are refused."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self._other = socket.create_server((ELSEWHERE, self.data_port))

    def start(self) -> None:
        """Start both servers."""
        threading.Thread(target=self._knocks, daemon=True).start()
        super().start()

    def stop(self) -> None:
        """Stop both servers."""
        super().stop()
        with contextlib.suppress(OSError):
            self._other.shutdown(socket.SHUT_RDWR)
        self._other.close()

    @property
    def passive_host(self) -> str:
        """The other host, once the server has turned hostile."""
        return ELSEWHERE if self.hostile else super().passive_host

    def _knocks(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._other.accept()
                self.kept.append(b"a client came")
                connection.close()


class FtpPassiveElsewhere(Scenario):
    """On ftplib, which uses only the host it knows. The attempt must raise an alert all the same."""

    code = "C10"
    attack = "sends the app to another host for its data"
    reference = "CVE-2021-4189; https://bugs.python.org/issue43285"
    driver = "ftplib"
    rule = "redirected"
    trusts = False

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the misleading server."""
        return Misleading(authority)

    def work(self) -> None:
        """Fetch the prices."""
        self.meet()

    def meet(self) -> object:
        """Fetch the prices from the hostile server."""
        import ftplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        prices: list[bytes] = []
        with ftplib.FTP_TLS(context=context, timeout=5) as ftp:  # noqa: S321
            vars(ftp)["trust_server_pasv_ipv4_address"] = self.trusts  # the type stubs lack this attribute
            ftp.connect("localhost", self.config.port)
            ftp.login("shop", SECRET)
            ftp.prot_p()
            ftp.retrbinary("RETR prices.csv", prices.append)
        return len(b"".join(prices))

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app connected to the other host."""
        del got
        return bool(service.kept)
