"""An honest FTP server with AUTH TLS and passive mode, for scenarios to extend."""

import socket

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK, HostileServer, ServerSession

_AGREED = {
    b"PBSZ": b"200 ok", b"PROT": b"200 ok", b"TYPE": b"200 ok", b"OPTS": b"200 ok", b"CWD": b"250 ok",
    b"NOOP": b"200 ok", b"SYST": b"215 UNIX Type: L8", b"PWD": b'257 "/" is here',
}  # fmt: skip
CONTENT = b"sku;price\r\n7;9.90\r\n"


class FTP(HostileServer):
    """Serves a price list.

    Attributes:
        refuses_tls: Whether it refuses AUTH TLS once hostile, and accepts plaintext logins.
    """

    name = "ftp"
    attack = "is honest"
    reference = "https://datatracker.ietf.org/doc/html/rfc4217"
    driver = "ftplib"
    rule = "redirected"

    refuses_tls = False

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._data = socket.create_server((LOOPBACK, 0))
        self._data.settimeout(1)
        self.data_port: int = self._data.getsockname()[1]

    def stop(self) -> None:
        """Close the data listener as well."""
        super().stop()
        self._data.close()

    def serve(self, session: ServerSession) -> None:
        """Serve commands until QUIT; one transfer at a time."""
        session.send(b"220 ftp.shop.example ready\r\n")
        while True:
            verb, _, given = session.line().partition(b" ")
            verb = verb.upper()
            if verb == b"RETR":
                self._transfer(session)
            else:
                session.send(self._answer(session, verb, given) + b"\r\n")
            if verb == b"AUTH" and not self._refuses and not session.secured:
                session.secure()
            elif verb == b"QUIT":
                return

    @property
    def passive_host(self) -> str:
        """Return the address to announce for data."""
        return LOOPBACK

    @property
    def _refuses(self) -> bool:
        return self.hostile and self.refuses_tls

    def _answer(self, session: ServerSession, verb: bytes, given: bytes) -> bytes:
        if verb == b"AUTH":
            return b"502 not here" if self._refuses or session.secured else b"234 go ahead"
        if verb in (b"USER", b"PASS"):
            if not session.secured and not self._refuses:
                return b"530 encryption required"
            if not session.secured:
                self.on_leak(given)
            return b"331 password?" if verb == b"USER" else b"230 welcome"
        if verb == b"PASV":
            numbers = [*self.passive_host.split("."), str(self.data_port >> 8), str(self.data_port & 0xFF)]
            return b"227 Entering Passive Mode (" + ",".join(numbers).encode() + b")"
        return b"221 bye" if verb == b"QUIT" else _AGREED.get(verb, b"502 what")

    def _transfer(self, session: ServerSession) -> None:
        session.send(b"150 here it comes\r\n")
        try:
            connection, _ = self._data.accept()
        except TimeoutError:
            session.send(b"425 no connection\r\n")
            return
        connection.settimeout(5)
        with connection:
            if session.secured:
                secured = self.certificate.server_context().wrap_socket(connection, server_side=True)
                secured.sendall(CONTENT)
                secured.unwrap().close()  # ftplib waits for the TLS close notification
            else:
                connection.sendall(CONTENT)
        session.send(b"226 done\r\n")
