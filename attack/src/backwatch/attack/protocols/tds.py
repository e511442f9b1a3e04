"""An honest SQL Server over TLS (TDS 7.4). It returns the same orders for any request."""

import ssl
import struct
from typing import Final

from backwatch.attack.authority import Authority, Certificate
from backwatch.attack.protocols.server import LOOPBACK, MAX_MESSAGE_BYTES, HostileServer, ServerSession

_PRELOGIN, _BATCH, _RPC, _REPLY = 18, 1, 3, 4
_MORE, _COUNT = 1, 0x10
_COLLATION: Final = b"\x09\x04\xd0\x00\x34"
_TDS_7_4: Final = 0x74000004
_VERSION: Final = (16, 0, 4125)
_PACKET: Final = 4096
ORDERS: Final = (("7", "18.50"), ("9", "4.20"))


class Channel:
    """TDS packets, and TLS whose handshake travels inside them."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._taken, self._given = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    def secure(self, certificate: Certificate) -> None:
        """Run the server's side of a TLS handshake."""
        tls = certificate.server_context().wrap_bio(self._taken, self._given, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_handshake()
                self._taken.write(self.receive()[1])
            else:
                break
        self._flush_handshake()
        self._tls = tls

    def receive(self) -> tuple[int, bytes]:
        """Return kind and content of the next message."""
        body = b""
        while True:
            kind, status, length = struct.unpack(">BBH", self._read(8)[:4])
            body += self._read(length - 8)
            if len(body) > MAX_MESSAGE_BYTES:
                raise ValueError("a message of that size is no driver's")
            if status & 1:
                return kind, body

    def send(self, body: bytes, kind: int = _REPLY) -> None:
        """Send one message, in as many packets as it needs."""
        most = _PACKET - 8
        for at in range(0, max(len(body), 1), most):
            part, last = body[at : at + most], at + most >= len(body)
            packet = struct.pack(">BBHHBB", kind, int(last), len(part) + 8, 0, 1, 0) + part
            if self._tls is None:
                self._session.send(packet)
            else:
                self._tls.write(packet)
                self._session.send(self._given.read())

    def _flush_handshake(self) -> None:
        if self._given.pending:
            self.send(self._given.read(), _PRELOGIN)

    def _read(self, count: int) -> bytes:
        if self._tls is None:
            return self._session.read(count)
        got = b""
        while len(got) < count:
            try:
                part = self._tls.read(count - len(got))
            except ssl.SSLWantReadError:
                head = self._session.read(5)  # of a TLS record
                self._taken.write(head + self._session.read(int.from_bytes(head[3:], "big")))
            else:
                if not part:
                    raise EOFError
                got += part
        return got


class SqlServer(HostileServer):
    """Returns orders. Logins are passed to ``taken``: TDS obfuscates a password, but proves nothing."""

    name = "tds"
    attack = "is honest"
    reference = "https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/"
    driver = "pytds"
    rule = "redirected"

    def __init__(self, authority: Authority, *, called: str = "localhost") -> None:
        super().__init__(authority)
        self.certificate = authority.issue(called)  # python-tds reads the name from the subject's common name

    def serve(self, session: ServerSession) -> None:
        """Serve a login over TLS, then requests."""
        channel = Channel(session)
        channel.receive()
        channel.send(_prelogin())
        channel.secure(self.certificate)
        _, login = channel.receive()
        self.on_leak(b"\0".join(_login(login)))
        channel.send(self.welcome())
        while True:
            kind, _ = channel.receive()
            channel.send(_orders(procedure=kind == _RPC) if kind in (_BATCH, _RPC) else _done())

    def welcome(self) -> bytes:
        """Return the response to a login."""
        database = _change(1, _text("shop") + _text("master"))
        return database + _change(7, b"\x05" + _COLLATION + b"\0") + _accepted() + _done()


class RoutingSqlServer(SqlServer):
    """Routes its clients to another server, once hostile.

    Attributes:
        elsewhere: The other server, with a certificate for its own name.
    """

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = self.attach(SqlServer(authority, called=LOOPBACK))

    def welcome(self) -> bytes:
        """Accept the login; once hostile, route it elsewhere."""
        if not self.hostile:
            return super().welcome()
        target = struct.pack("<BH", 0, self.elsewhere.port) + _text(LOOPBACK, "H")
        return _accepted() + _change(20, struct.pack("<H", len(target)) + target + b"\0\0") + _done()


def _text(value: str, count: str = "B") -> bytes:
    return struct.pack(f"<{count}", len(value)) + value.encode("utf-16-le")


def _done(status: int = 0, count: int = 0, token: int = 0xFD) -> bytes:
    return struct.pack("<BHHQ", token, status, 0, count)


def _change(kind: int, new_and_old: bytes) -> bytes:
    return struct.pack("<BHB", 0xE3, len(new_and_old) + 1, kind) + new_and_old


def _prelogin() -> bytes:
    """Return the server's version, with TLS required for the whole session."""
    at = 5 * 2 + 1
    return struct.pack(">BHHBHHB", 0, at, 6, 1, at + 6, 1, 0xFF) + struct.pack(">BBHH", *_VERSION, 0) + b"\x01"


def _accepted() -> bytes:
    body = struct.pack(">BI", 1, _TDS_7_4) + _text("Microsoft SQL Server") + struct.pack(">BBH", *_VERSION)
    return struct.pack("<BH", 0xAD, len(body)) + body


def _login(message: bytes) -> tuple[bytes, bytes]:
    """Return user and password of a LOGIN7."""
    fields: list[bytes] = []
    for at in (40, 44):
        offset, length = struct.unpack_from("<HH", message, at)
        fields.append(message[offset : offset + 2 * length])
    user, hidden = fields
    password = bytes(((one ^ 0xA5) >> 4) | (((one ^ 0xA5) & 15) << 4) for one in hidden)
    return user.decode("utf-16-le").encode(), password.decode("utf-16-le").encode()


def _orders(*, procedure: bool) -> bytes:
    """Return two text columns and their rows; as a procedure's result if it was one."""
    column = struct.pack("<IHBH", 0, 1, 0xE7, 8000) + _COLLATION
    head = struct.pack("<BH", 0x81, 2) + b"".join(column + _text(name) for name in ("id", "total"))
    rows = b"".join(b"\xd1" + b"".join(_value(one) for one in row) for row in ORDERS)
    if not procedure:
        return head + rows + _done(_COUNT, len(ORDERS))
    return head + rows + _done(_COUNT | _MORE, len(ORDERS), 0xFF) + b"\x79\0\0\0\0" + _done(token=0xFE)


def _value(value: str) -> bytes:
    encoded = value.encode("utf-16-le")
    return struct.pack("<H", len(encoded)) + encoded
