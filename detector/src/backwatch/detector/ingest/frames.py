"""Splits a protobuf file into requests: one bare request, or many with length prefixes.

Two kinds of lengths are written: a varint (protobuf's ``writeDelimitedTo``), and four bytes, the highest first (the
OpenTelemetry Collector's file exporter). The file does not declare which, so it is detected from the bytes.
"""

from collections.abc import Callable, Iterator

from backwatch.detector.decoding.outline import spans_of

Length = Callable[[bytes, int], tuple[int, int]]


def _varint(value: bytes, at: int) -> tuple[int, int]:
    length = 0
    for shift in range(0, 70, 7):
        if at >= len(value):
            return at, -1
        byte = value[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return at, length
    return at, -1


def _four_bytes(value: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(value):
        return at, -1
    return at + 4, int.from_bytes(value[at : at + 4], "big")


def _first_fits(value: bytes, length: Length) -> bool:
    start, size = length(value, 0)
    return size > 0 and start + size <= len(value) and spans_of(value[start : start + size]) >= 0


def frames(value: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield ordinal and bytes of each request; ``None``: unreadable; ordinal 0: one request without a length prefix."""
    if value[:1] == b"\x0a" and spans_of(value) >= 0:
        yield 0, value
        return
    length = next((read_length for read_length in (_varint, _four_bytes) if _first_fits(value, read_length)), None)
    if length is None:
        yield 0, None
        return
    at, ordinal = 0, 0
    while at < len(value):
        ordinal += 1
        at, size = length(value, at)
        if size < 0 or at + size > len(value):
            yield ordinal, None
            return
        frame = value[at : at + size]
        yield ordinal, frame if spans_of(frame) >= 0 else None
        at += size
