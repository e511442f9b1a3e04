"""Reads one span into a row, and keeps the row if the span is a call."""

from typing import Final

from backwatch.collector import names
from backwatch.detector.decoding.attributes import OWN_BIT, attribute, attributes_of
from backwatch.detector.decoding.derive import complete
from backwatch.detector.decoding.protobuf import BAD, TRUNCATED, read_delimited, skip, varint
from backwatch.detector.decoding.rows import (
    CALLS,
    CONTRACT,
    END,
    ERROR,
    NEWER,
    NUMBERS_AT,
    OVER,
    RECORD,
    SERIAL,
    SPAN_ID,
    SPANS,
    START,
    TRACE,
    WIDTH,
    Cells,
    text_cell,
)
from backwatch.detector.decoding.schema import EVENT, LATEST_NS, MAX_ATTRIBUTES, SPAN
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import load64, store64

KNOWN_CONTRACT: Final = names.CONTRACT
_SPAN_NAME = text_cell(names.SPAN_NAME)


@kernel
def count(counter: int) -> None:
    """Add one to the counter at this address."""
    store64(counter, load64(counter) + 1)


@kernel
def hand_down(source: int, row: int, state: int) -> None:
    """Initialise a row from its scope or resource; ``source`` 0: empty."""
    count(state + 8 * SERIAL)
    if source:
        for cell in range(WIDTH):
            store64(row + 8 * cell, load64(source + 8 * cell))
    else:
        for cell in range(WIDTH):
            store64(row + 8 * cell, 0 if cell < NUMBERS_AT else -1)


@kernel
def point_in_time(base: int, position: int, end: int) -> tuple[int, int]:
    """Read nanoseconds since the epoch and the position after them; 0 if absent or impossible."""
    if position + 8 > end:
        return 0, TRUNCATED
    value = load64(base + position)
    return value if 0 < value <= LATEST_NS else 0, position + 8


@kernel
def status_code(base: int, position: int, end: int, code: int) -> tuple[int, int]:
    """A span's status, and the position after it."""
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x18:
            code, position = varint(base, position, end)
        else:
            position = skip(base, position, end, tag)
    return code & 0xFFFFFFFF, position


@kernel
def read_span(
    base: int, position: int, end: int, table: int, row: int, refused: int, tail: int, state: int
) -> tuple[int, int]:
    """Read one span into ``row``: its kind, and the position after it."""
    kind, code, attributes = 0, 0, 0
    start_ns, end_ns, trace, span = 0, 0, -1, -1
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x4A:
            start, position = read_delimited(base, position, end)
            attributes += 1
            if attributes > MAX_ATTRIBUTES:
                count(state + 8 * OVER)
            elif position < BAD:
                position = attribute(base, start, position, table, row, int(SPAN), refused, tail, state)
        elif tag == 0x30:
            kind, position = varint(base, position, end)
        elif tag == 0x39:
            start_ns, position = point_in_time(base, position, end)
        elif tag == 0x41:
            end_ns, position = point_in_time(base, position, end)
        elif tag == 0x0A:
            start, position = read_delimited(base, position, end)
            trace = start if position - start == 16 else -1
        elif tag == 0x12:
            start, position = read_delimited(base, position, end)
            span = start if position - start == 8 else -1
        elif tag == 0x2A:
            start, position = read_delimited(base, position, end)
            store64(row + 8 * _SPAN_NAME, start)
            store64(row + 8 * _SPAN_NAME + 8, position - start)
        elif tag == 0x5A or tag == 0x7A:
            start, position = read_delimited(base, position, end)
            if tag == 0x5A and position < BAD:
                position = attributes_of(base, start, position, 0x1A, table, row, int(EVENT), refused, tail, state)
            elif position < BAD:
                code, position = status_code(base, start, position, code)
        else:
            position = skip(base, position, end, tag)
    store64(row + 8 * START, start_ns)
    store64(row + 8 * END, end_ns)
    store64(row + 8 * TRACE, trace)
    store64(row + 8 * SPAN_ID, span)
    store64(row + 8 * ERROR, code)
    return kind & 0xFFFFFFFF, position


@kernel
def take_span(
    base: int, item: Cells, record: int, table: int, scope: int, rows: int, refused: int, tail: int, state: int
) -> int:
    """Read one span, keep its row if it is a call, and return the position after it."""
    count(state + 8 * SPANS)
    row = rows + 8 * WIDTH * load64(state + 8 * CALLS)
    over = load64(state + 8 * OVER)
    store64(state + 8 * CONTRACT, 0)
    while True:
        hand_down(scope, row, state)
        kind, position = read_span(base, item[1], item[2], table, row, refused, tail, state)
        if refused or load64(state + 8 * CONTRACT) <= KNOWN_CONTRACT:
            break
        store64(state + 8 * OVER, over)
        refused = int(OWN_BIT)  # a newer contract: read again, without the names that are ours
    if position == item[2] and complete(base, row, kind, tail, state):
        store64(row + 8 * RECORD, record)
        count(state + 8 * CALLS)
        if refused:
            count(state + 8 * NEWER)
    return position
