"""Reads one attribute, and stores its value in its cell."""

from typing import Final

from backwatch.detector.decoding.lookup import (
    CELL_BITS,
    CONTRACT_SHIFT,
    KIND_SHIFT,
    LEVEL_SHIFT,
    OWN_SHIFT,
    RANK_SHIFT,
    find,
)
from backwatch.detector.decoding.protobuf import BAD, TRUNCATED, read_delimited, skip, varint
from backwatch.detector.decoding.rows import CONTRACT, NUMERALS, OVER, SERIAL, TAIL_NUMERALS
from backwatch.detector.decoding.schema import LARGEST, MAX_ATTRIBUTES, NUMBER, TEXT
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8, load64, store64

NONE, STRING, BOOL, INT, DOUBLE, OTHER = range(6)
"""What an AnyValue holds."""
CELL_MASK: Final = (1 << CELL_BITS) - 1
OWN_BIT: Final = 1 << OWN_SHIFT
"""Refuses the names that are ours."""


@inline
def any_value(base: int, position: int, end: int, kind: int, first: int, last: int) -> tuple[int, int, int, int]:
    """Read an AnyValue. Its value replaces an earlier one of the same attribute.

    Returns kind, first and last (a string's start and end; else the number in ``first``), and the position after it.
    """
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x0A:
            first, last = read_delimited(base, position, end)
            kind, position = STRING, last
        elif tag == 0x10:
            value, position = varint(base, position, end)
            kind, first = BOOL, 1 if value else 0
        elif tag == 0x18:
            first, position = varint(base, position, end)
            kind = INT
        elif tag == 0x21:
            if position + 8 > end:
                position = TRUNCATED
            else:
                kind, first = DOUBLE, load64(base + position)
                position += 8
        elif tag == 0x2A or tag == 0x32 or tag == 0x3A:
            kind = OTHER
            _, position = read_delimited(base, position, end)
        else:
            position = skip(base, position, end, tag)
    return kind, first, last, position


@inline
def key_value(base: int, position: int, end: int) -> tuple[int, int, int, int, int, int]:
    """Read a KeyValue: start and end of its key; kind, first and last of its value; the position after it."""
    key_start, key_end, first, last, kind = 0, 0, 0, 0, int(NONE)
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x0A:
            key_start, key_end = read_delimited(base, position, end)
            position = key_end
        elif tag == 0x12:
            start, position = read_delimited(base, position, end)
            if position < BAD:
                kind, first, last, position = any_value(base, start, position, kind, first, last)
        else:
            position = skip(base, position, end, tag)
    return key_start, key_end, kind, first, last, position


@kernel
def decimal(base: int, start: int, end: int) -> int:
    """A whole number written out, at most 18 digits; -1 where it is none."""
    if start >= end or end - start > 18:
        return -1
    number = 0
    for i in range(start, end):
        digit = load8(base + i) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@kernel
def whole(bits: int) -> int:
    """Return the whole part of a non-negative double, saturated; -1 for negative values and NaN."""
    exponent = (bits >> 52) & 0x7FF
    fraction = bits & ((1 << 52) - 1)
    if bits < 0 or (exponent == 0x7FF and fraction != 0):
        return -1
    shift = 1075 - exponent
    if shift <= 0:
        return LARGEST
    return (fraction | (1 << 52)) >> shift if shift <= 52 else 0


@kernel
def as_number(base: int, kind: int, first: int, last: int) -> int:
    """A value as a number; -1 where it is none, or negative."""
    number = -1
    if kind == INT:
        number = first
    elif kind == STRING:
        number = decimal(base, first, last)
    elif kind == DOUBLE:
        number = whole(first)
    return min(max(number, -1), LARGEST)


@kernel
def as_flag(base: int, kind: int, first: int, last: int) -> int:
    """A value as 0 or 1; -1 where it is neither."""
    if kind == BOOL or (kind == INT and (first == 0 or first == 1)):
        return first
    if kind == STRING and last > first:
        initial = load8(base + first) | 32
        if last - first == 4 and initial == 116 and load8(base + last - 1) | 32 == 101:  # true
            return 1
        if last - first == 5 and initial == 102 and load8(base + last - 1) | 32 == 101:  # false
            return 0
    return -1


@inline
def store_text(address: int, kind: int, first: int, last: int, tail: int) -> bool:
    """A value as a text; a small number is written out. False where it is neither."""
    if kind == STRING:
        store64(address, first)
        store64(address + 8, last - first)
        return True
    if kind == INT and 0 <= first < NUMERALS:
        digits = 1 + (first > 9) + (first > 99) + (first > 999)
        store64(address, tail + TAIL_NUMERALS + 4 * first + 4 - digits)
        store64(address + 8, digits)
        return True
    return False


@inline
def store(base: int, row: int, known: int, kind: int, first: int, last: int, tail: int, state: int) -> None:
    """Store a value in its cell, unless a better name of the fact already did."""
    if (known >> CONTRACT_SHIFT) & 1:
        store64(state + 8 * CONTRACT, max(as_number(base, kind, first, last), 0))
        return
    cell, what = 8 * (known & CELL_MASK), (known >> KIND_SHIFT) & 3
    stamp = load64(state + 8 * SERIAL) * 16 + 15 - ((known >> RANK_SHIFT) & 15)
    if stamp < load64(state + cell):
        return
    if what == TEXT:
        stored = store_text(row + cell, kind, first, last, tail)
    else:
        value = as_number(base, kind, first, last) if what == NUMBER else as_flag(base, kind, first, last)
        stored = value >= 0
        if stored:
            store64(row + cell, value)
    if stored:
        store64(state + cell, stamp)


@kernel
def attribute(
    base: int, start: int, end: int, table: int, row: int, level: int, refused: int, tail: int, state: int
) -> int:
    """Reads one attribute and stores it if it has a cell; the position after it."""
    key_start, key_end, kind, first, last, position = key_value(base, start, end)
    if position == end:
        known = find(base, key_start, key_end, table)
        if known >= 0 and (known >> LEVEL_SHIFT) & level and not known & refused:
            store(base, row, known, kind, first, last, tail, state)
    return position


@kernel
def attributes_of(
    base: int,
    position: int,
    end: int,
    wanted: int,
    table: int,
    row: int,
    level: int,
    refused: int,
    tail: int,
    state: int,
) -> int:
    """Reads every field ``wanted`` of a message as an attribute; the position after the message."""
    count = 0
    while position < end:
        tag, position = varint(base, position, end)
        if tag == wanted:
            start, position = read_delimited(base, position, end)
            count += 1
            if count > MAX_ATTRIBUTES:
                store64(state + 8 * OVER, load64(state + 8 * OVER) + 1)
            elif position < BAD:
                position = attribute(base, start, position, table, row, level, refused, tail, state)
        else:
            position = skip(base, position, end, tag)
    return position
