"""Outline of a record: the resources, scopes and spans in the order in which they are read.

A message's fields may come in any order, and what a level hands down must be known before its children are read; so the
outline names each level first and what it holds after it. It costs a bomb of empty messages its bytes and little more.
"""

from typing import Final

import numpy as np

from backwatch.detector.decoding.protobuf import read_delimited, skip, varint
from backwatch.detector.decoding.rows import Bytes, Cells
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import address_of

LEVEL_RESOURCE, LEVEL_SCOPE, LEVEL_SPAN = range(3)
ITEM: Final = 3
"""Level, start, end."""


@kernel
def note(items: Cells, count: int, level: int, start: int, end: int) -> int:
    """Note an item if there is room for it; return the number of items."""
    if count < items.shape[0]:
        items[count, 0], items[count, 1], items[count, 2] = level, start, end
    return count + 1


@kernel
def outline_scope(base: int, position: int, end: int, items: Cells, count: int) -> tuple[int, int]:
    """The spans of one scope: the number of items and the position after it."""
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x12:
            start, position = read_delimited(base, position, end)
            count = note(items, count, int(LEVEL_SPAN), start, position)
        else:
            position = skip(base, position, end, tag)
    return count, position


@kernel
def outline_resource(base: int, position: int, end: int, items: Cells, count: int) -> tuple[int, int]:
    """The scopes of one resource: the number of items and the position after it."""
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x12:
            start, stop = read_delimited(base, position, end)
            count = note(items, count, int(LEVEL_SCOPE), start, stop)
            count, position = outline_scope(base, start, stop, items, count)
        else:
            position = skip(base, position, end, tag)
    return count, position


@kernel
def outline(base: int, position: int, end: int, items: Cells) -> tuple[int, int]:
    """Note the items of one request as far as there is room; return their number and the position after it."""
    count = 0
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x0A:
            start, stop = read_delimited(base, position, end)
            count = note(items, count, int(LEVEL_RESOURCE), start, stop)
            count, position = outline_resource(base, start, stop, items, count)
        else:
            position = skip(base, position, end, tag)
    return count, position


@kernel
def outline_array(buffer: Bytes, items: Cells) -> tuple[int, int]:
    """:func:`outline` of a whole array."""
    return outline(address_of(buffer), 0, buffer.shape[0], items)


@kernel
def spans_in(items: Cells, count: int) -> int:
    """Return how many of the first ``count`` items are spans."""
    spans = 0
    for i in range(count):
        spans += items[i, 0] == LEVEL_SPAN
    return spans


_NO_ITEMS = np.empty((0, ITEM), np.int64)


def items_of(value: bytes) -> int:
    """Return how many resources, scopes and spans a request holds, as far as it can be read: a bound for its calls."""
    return outline_array(np.frombuffer(value, np.uint8), _NO_ITEMS)[0] if value else 0


def spans_of(value: bytes) -> int:
    """Return how many spans a request holds by its outer shape; -1 if it has none.

    Nothing is built of what it holds.
    """
    if not value:
        return 0
    buffer = np.frombuffer(value, np.uint8)
    count, position = outline_array(buffer, _NO_ITEMS)
    if position != len(value):
        return -1
    items = np.empty((count, ITEM), np.int64)
    outline_array(buffer, items)
    return int((items[:, 0] == LEVEL_SPAN).sum())
