"""C10: an FTP server sends the client to another host for its data. The client scans ports for the attacker."""

import contextlib
import socket
import threading

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ftp import FTP
from backwatch.attack.techniques.ftp import FetchesPrices

ELSEWHERE = "127.0.0.2"
"""Another host, on loopback."""
CAME = b"a client came"


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
                self.keep(CAME)
                connection.close()


class FtpPassiveElsewhere(FetchesPrices):
    """On ftplib, which uses only the host it knows. The attempt must raise an alert all the same."""

    code = "C10"
    attack = "sends the app to another host for its data"
    reference = "CVE-2021-4189; https://bugs.python.org/issue43285"
    rule = "redirected"
    server = Misleading
    captures = CAME
