"""The tokens of SQL Server's protocol, TDS 7.4, as a server writes them and as far as the tests need them."""

import struct
from collections.abc import Sequence

PRELOGIN, BATCH, RPC, REPLY, ATTENTION, BULK, TRANSACTION, LOGIN = 18, 1, 3, 4, 6, 7, 14, 16
OFF, ON, NOT_SUPPORTED, REQUIRED = 0, 1, 2, 3
MORE, ERROR, COUNT, CANCELLED = 1, 2, 0x10, 0x20
COLLATION = b"\x09\x04\xd0\x00\x34"
VERSION = 0x74000004
EXECUTE_SQL = 10


def text(value: str, count: str = "B") -> bytes:
    """Encode UTF-16 behind its length in characters."""
    return struct.pack(f"<{count}", len(value)) + value.encode("utf-16-le")


def encode_done(status: int = 0, count: int = 0, token: int = 0xFD) -> bytes:
    """Encode the end of a statement (0xFD), of one within a procedure (0xFF), or of a procedure (0xFE)."""
    return struct.pack("<BHHQ", token, status, 0, count)


def message(number: int, words: str, *, error: bool) -> bytes:
    """Encode ERROR or INFO."""
    severity = 16 if error else 0
    body = struct.pack("<iBB", number, 1, severity) + text(words, "H") + text("sql") + text("") + struct.pack("<I", 1)
    return struct.pack("<BH", 0xAA if error else 0xAB, len(body)) + body


def change(kind: int, new: bytes, old: bytes) -> bytes:
    """Encode ENVCHANGE."""
    return struct.pack("<BHB", 0xE3, len(new) + len(old) + 1, kind) + new + old


def database(name: str) -> bytes:
    """Encode a change of the session's database."""
    return change(1, text(name), text("master"))


def encode_routing(host: str, port: int) -> bytes:
    """Encode a redirect to another server."""
    target = struct.pack("<BH", 0, port) + text(host, "H")
    return change(20, struct.pack("<H", len(target)) + target, b"\0\0")


def login_ack(version: tuple[int, int, int]) -> bytes:
    """Encode the acceptance of a login."""
    major, minor, build = version
    body = struct.pack(">BI", 1, VERSION) + text("Microsoft SQL Server") + struct.pack(">BBH", major, minor, build)
    return struct.pack("<BH", 0xAD, len(body)) + body


def columns(named: Sequence[tuple[str, bool]]) -> bytes:
    """Encode COLMETADATA: whole numbers, and text."""
    parts = [struct.pack("<BH", 0x81, len(named))]
    for name, number in named:
        kind = b"\x26\x08" if number else b"\xe7" + struct.pack("<H", 8000) + COLLATION
        parts.append(struct.pack("<IH", 0, 1) + kind + text(name))
    return b"".join(parts)


def row(values: Sequence[object], numbers: Sequence[bool]) -> bytes:
    """Encode a ROW."""
    parts = [b"\xd1"]
    for value, number in zip(values, numbers, strict=True):
        if number:
            parts.append(b"\0" if value is None else b"\x08" + struct.pack("<q", value))
        elif value is None:
            parts.append(b"\xff\xff")
        else:
            encoded = str(value).encode("utf-16-le")
            parts.append(struct.pack("<H", len(encoded)) + encoded)
    return b"".join(parts)


def prelogin(encryption: int) -> bytes:
    """Encode the reply to PRELOGIN."""
    return (
        struct.pack(">BHH", 0, 16, 6) + struct.pack(">BHH", 1, 22, 1) + struct.pack(">BHH", 4, 23, 1) + b"\xff"
        + bytes((16, 0, 3, 232, 0, 0)) + bytes((encryption, 0))
    )  # fmt: skip


def parse_encryption(packet: bytes) -> int:
    """Return the encryption that a client's PRELOGIN requests."""
    at = 0
    while packet[at] != 0xFF:
        kind, offset, _ = struct.unpack_from(">BHH", packet, at)
        if kind == 1:
            return packet[offset]
        at += 5
    return NOT_SUPPORTED


def login_fields(packet: bytes) -> dict[str, str]:
    """Parse user, password, server and database of a LOGIN7."""
    fields: dict[str, str] = {}
    for name, at in (("user", 40), ("password", 44), ("server", 52), ("database", 68)):
        offset, length = struct.unpack_from("<HH", packet, at)
        raw = packet[offset : offset + 2 * length]
        if name == "password":
            raw = bytes(((one ^ 0xA5) >> 4) | (((one ^ 0xA5) & 15) << 4) for one in raw)
        fields[name] = raw.decode("utf-16-le")
    return fields


def parameters(body: bytes, at: int) -> list[tuple[str, object]]:
    """Parse the parameters of an RPC, each with its name: whole numbers and text."""
    found: list[tuple[str, object]] = []
    while at < len(body):
        length = body[at]
        name = body[at + 1 : at + 1 + 2 * length].decode("utf-16-le")
        at += 2 + 2 * length
        kind = body[at]
        value: object = None
        if kind == 0x26:
            size = body[at + 2]
            value = int.from_bytes(body[at + 3 : at + 3 + size], "little", signed=True) if size else None
            at += 3 + size
        elif kind == 0xE7:
            (most,) = struct.unpack_from("<H", body, at + 1)
            at += 8
            value, at = _plp(body, at) if most == 0xFFFF else _short(body, at)
        else:
            raise ValueError(f"a type that this server does not know: {kind:#x}")
        found.append((name, value))
    return found


def _short(body: bytes, at: int) -> tuple[str | None, int]:
    (size,) = struct.unpack_from("<H", body, at)
    if size == 0xFFFF:
        return None, at + 2
    return body[at + 2 : at + 2 + size].decode("utf-16-le"), at + 2 + size


def _plp(body: bytes, at: int) -> tuple[str | None, int]:
    (total,) = struct.unpack_from("<Q", body, at)
    at += 8
    if total == 0xFFFFFFFFFFFFFFFF:
        return None, at
    parts: list[bytes] = []
    while True:
        (size,) = struct.unpack_from("<I", body, at)
        at += 4
        if not size:
            return b"".join(parts).decode("utf-16-le"), at
        parts.append(body[at : at + size])
        at += size
