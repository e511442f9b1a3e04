"""Writes OTLP trace bytes by hand, at a tenth of the cost of the generated classes.

Each function gives the body of one message; texts may be bytes already.
"""

import struct
from collections.abc import Iterable
from typing import Final

from backwatch.detector.kernels.bounded_cache import BoundedCache

Value = str | bytes | bool | int | float
Attributes = Iterable[tuple[str | bytes, Value]]

MAX_REMEMBERED: Final = 8_192
MAX_REMEMBERED_TEXT: Final = 256
"""Attributes kept, and what the name and text of one may have together, in characters or bytes."""
_FULL: Final = (1 << 64) - 1
_TIMES: Final = struct.Struct("<BQBQ").pack
_DOUBLE: Final = struct.Struct("<Bd").pack


def varint(number: int) -> bytes:
    """A number of at most 64 bits."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT: Final = tuple(varint(number) for number in range(4_096))


def field(tag: int, body: bytes) -> bytes:
    """A message, text or bytes as a field; ``tag`` below 128."""
    size = len(body)
    return _SHORT[tag] + (_SHORT[size] if size < 4_096 else varint(size)) + body


def _any_value(value: Value) -> bytes:
    if isinstance(value, bytes):
        return field(0x0A, value)
    if isinstance(value, str):
        return field(0x0A, value.encode("utf-8", "replace"))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        value = max(-(1 << 63), min(value, (1 << 63) - 1))
        return b"\x18" + varint(value & _FULL)
    return _DOUBLE(0x21, value)


_remembered = BoundedCache[tuple[str | bytes, type, Value], bytes](MAX_REMEMBERED)


def key_value(key: str | bytes, value: Value) -> bytes:
    """Return a KeyValue; short ones that repeat are kept. Not floats: 0.0 and -0.0 are one key and two encodings."""
    if (
        isinstance(value, float)
        or len(key) + (len(value) if isinstance(value, str | bytes) else 0) > MAX_REMEMBERED_TEXT
    ):
        return _key_value(key, value)
    return _remembered.get((key, type(value), value), lambda: _key_value(key, value))


def _key_value(key: str | bytes, value: Value) -> bytes:
    name = key if isinstance(key, bytes) else key.encode("utf-8", "replace")
    return field(0x0A, name) + field(0x12, _any_value(value))


def span(
    *,
    trace_id: bytes = b"",
    span_id: bytes = b"",
    parent_id: bytes = b"",
    name: str | bytes = b"",
    kind: int = 0,
    start_ns: int = 0,
    end_ns: int = 0,
    attributes: Attributes = (),
    status: int = 0,
) -> bytes:
    """A Span. Times are held within 64 bits; other numbers are enumerations."""
    parts: list[bytes] = []
    for tag, identity in ((0x0A, trace_id), (0x12, span_id), (0x22, parent_id)):
        if identity:
            parts.append(field(tag, identity))
    if name:
        parts.append(field(0x2A, name if isinstance(name, bytes) else name.encode("utf-8", "replace")))
    if kind:
        parts.append(b"\x30" + varint(kind & _FULL))
    parts.append(_TIMES(0x39, max(0, min(start_ns, _FULL)), 0x41, max(0, min(end_ns, _FULL))))
    parts += [field(0x4A, key_value(key, value)) for key, value in attributes]
    if status:
        parts.append(field(0x7A, b"\x18" + varint(status & _FULL)))
    return b"".join(parts)


def resource(attributes: Attributes) -> bytes:
    """A Resource."""
    return b"".join([field(0x0A, key_value(key, value)) for key, value in attributes])


def scope(name: str | bytes, version: str | bytes, attributes: Attributes) -> bytes:
    """An InstrumentationScope."""
    parts: list[bytes] = []
    for tag, text in ((0x0A, name), (0x12, version)):
        if text:
            parts.append(field(tag, text if isinstance(text, bytes) else text.encode("utf-8", "replace")))
    parts += [field(0x1A, key_value(key, value)) for key, value in attributes]
    return b"".join(parts)


def scope_spans(scope_body: bytes, spans: Iterable[bytes]) -> bytes:
    """A ScopeSpans."""
    return b"".join([field(0x0A, scope_body), *(field(0x12, body) for body in spans)])


def resource_spans(resource_body: bytes, scopes: Iterable[bytes]) -> bytes:
    """A ResourceSpans."""
    return b"".join([field(0x0A, resource_body), *(field(0x12, body) for body in scopes)])


def request(resources: Iterable[bytes]) -> bytes:
    """An ExportTraceServiceRequest."""
    return b"".join([field(0x0A, body) for body in resources])
