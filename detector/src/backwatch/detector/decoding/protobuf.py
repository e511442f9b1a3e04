"""Reading the wire format of Protocol Buffers, every byte bounds-checked: the bytes are the attacker's.

``base`` is the buffer's address; positions are relative to it. A position at or above ``BAD`` means that reading
failed, and why. It is larger than any end, so each check that comes after fails too, and no byte can be read by
mistake.
"""

from typing import Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import load8

BAD: Final = 1 << 62
TRUNCATED: Final = BAD
BAD_TAG: Final = BAD + 1
GROUP: Final = BAD + 2
TOO_MANY_SPANS: Final = BAD + 3
REASONS: Final = {
    TRUNCATED: "a field ends beyond its message",
    BAD_TAG: "a field has an impossible tag",
    GROUP: "a field is a group, which no OpenTelemetry message has",
    TOO_MANY_SPANS: "more spans than a record may hold, or than its bytes can",
}


@kernel
def long_varint(base: int, position: int, end: int) -> tuple[int, int]:
    """Read a varint of up to ten bytes: its lowest 64 bits, and the position after it."""
    value = 0
    for i in range(10):
        if position >= end:
            return 0, TRUNCATED
        byte = load8(base + position)
        position += 1
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, position
    return 0, TRUNCATED


@kernel
def varint(base: int, position: int, end: int) -> tuple[int, int]:
    """A number, and the position after it."""
    if position < end:
        byte = load8(base + position)
        if byte < 128:
            return byte, position + 1
    return long_varint(base, position, end)


@kernel
def read_delimited(base: int, position: int, end: int) -> tuple[int, int]:
    """Read a field with a length: where its body starts and ends; both ``BAD`` if it does not fit."""
    length, start = varint(base, position, end)
    if start > end:
        return start, start
    if length < 0 or length > end - start:
        return TRUNCATED, TRUNCATED
    return start, start + length


@kernel
def skip(base: int, position: int, end: int, tag: int) -> int:
    """The position after a field that is of no interest; ``position`` may be ``BAD`` already."""
    if position > end:
        return position
    if tag < 8 or tag >> 32:
        return BAD_TAG
    kind = tag & 7
    if kind == 2:
        _, position = read_delimited(base, position, end)
    elif kind == 0:
        _, position = varint(base, position, end)
    elif kind == 1:
        position = position + 8 if position + 8 <= end else TRUNCATED
    elif kind == 5:
        position = position + 4 if position + 4 <= end else TRUNCATED
    else:
        position = GROUP if kind < 5 else BAD_TAG
    return position
