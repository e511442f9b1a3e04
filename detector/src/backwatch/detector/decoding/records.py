"""Reads a record from its outline: resources and scopes pass their facts on, spans become calls."""

import numpy as np

from backwatch.detector.decoding.attributes import OWN_BIT, attributes_of
from backwatch.detector.decoding.outline import LEVEL_RESOURCE, LEVEL_SCOPE, LEVEL_SPAN, outline, spans_in
from backwatch.detector.decoding.protobuf import BAD, TOO_MANY_SPANS, read_delimited, skip, varint
from backwatch.detector.decoding.rows import (
    BEATS,
    CALLS,
    CONTRACT,
    HANDED_DOWN,
    KEPT_COUNTERS,
    MAX_BEAT_BYTES,
    MAX_BEATS,
    MIN_BEAT_BYTES,
    NEED_ITEMS,
    NEED_ROWS,
    WIDTH,
    Bytes,
    Cells,
)
from backwatch.detector.decoding.schema import MAX_SMALL_SPANS, MAX_SPANS, MIN_SPAN_BYTES, RESOURCE, SCOPE
from backwatch.detector.decoding.spans import KNOWN_CONTRACT, hand_down, take_span
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import address_of, load64, store64


@kernel
def messages_attributes(
    base: int,
    position: int,
    end: int,
    inner: int,
    table: int,
    row: int,
    level: int,
    refused: int,
    tail: int,
    state: int,
) -> int:
    """Read the attributes of every message in field 1, a resource or a scope; return the position after all."""
    while position < end:
        tag, position = varint(base, position, end)
        if tag == 0x0A:
            start, position = read_delimited(base, position, end)
            if position < BAD:
                position = attributes_of(base, start, position, inner, table, row, level, refused, tail, state)
        else:
            position = skip(base, position, end, tag)
    return position


@kernel
def take_level(base: int, item: Cells, table: int, above: int, row: int, tail: int, state: int) -> tuple[int, int]:
    """Read a resource (``above`` 0) or a scope into its row; return the position after it, and refused names."""
    is_scope = above != 0
    inner, level = (0x1A, int(SCOPE)) if is_scope else (0x0A, int(RESOURCE))
    refused = 0
    store64(state + 8 * CONTRACT, 0)
    while True:
        hand_down(above, row, state)
        position = messages_attributes(base, item[1], item[2], inner, table, row, level, refused, tail, state)
        if refused or load64(state + 8 * CONTRACT) <= KNOWN_CONTRACT:
            return position, refused
        refused = int(OWN_BIT)  # a newer contract: read again, without the names that are ours


@kernel
def take_items(
    base: int, tail: int, items: Cells, count: int, record: int, table: int, rows: int, capacity: int, state: int
) -> int:
    """Read the items of one record; return ``TRUNCATED`` or the like if one cannot be read, else 0."""
    resource, scope = rows + 8 * WIDTH * capacity, rows + 8 * WIDTH * (capacity + 1)
    refused = 0
    for i in range(count):
        item = items[i]
        if item[0] == LEVEL_SPAN:
            position = take_span(base, item, record, table, scope, rows, refused, tail, state)
        elif item[0] == LEVEL_RESOURCE:
            position, _ = take_level(base, item, table, 0, resource, tail, state)
        else:
            position, refused = take_level(base, item, table, resource, scope, tail, state)
        if position != item[2]:
            return position
    return 0


@kernel
def note_beats(items: Cells, count: int, record: int, beats: Cells, state: Cells) -> None:
    """Note every scope without spans that is as long as a heartbeat may be, with its resource."""
    resource, left = 0, MAX_BEATS
    for i in range(count):
        if items[i, 0] == LEVEL_RESOURCE:
            resource = i
            continue
        alone = items[i, 0] == LEVEL_SCOPE and (i + 1 == count or items[i + 1, 0] != LEVEL_SPAN)
        if alone and MIN_BEAT_BYTES <= items[i, 2] - items[i, 1] <= MAX_BEAT_BYTES and left > 0:
            left -= 1
            at = state[BEATS]
            beats[at, 0], beats[at, 1], beats[at, 2] = record, items[resource, 1], items[resource, 2]
            beats[at, 3], beats[at, 4] = items[i, 1], items[i, 2]
            state[BEATS] += 1


@kernel
def fill(
    buffer: Bytes,
    bounds: Cells,
    status: Cells,
    first: int,
    table: Cells,
    items: Cells,
    rows: Cells,
    beats: Cells,
    state: Cells,
) -> int:
    """Read records from ``first`` on; return the next one, less than their number if there is no more room.

    A record that cannot be read leaves nothing behind but its reason in ``status``. ``state`` holds the room it needs.
    """
    base, table_at = address_of(buffer), address_of(table)
    rows_at, state_at = address_of(rows), address_of(state)
    capacity, records = rows.shape[0] - HANDED_DOWN, bounds.shape[0] - 1
    before = np.zeros(KEPT_COUNTERS, np.int64)
    for record in range(first, records):
        status[record] = 0
        count, position = outline(base, bounds[record], bounds[record + 1], items)
        spans = spans_in(items, min(count, items.shape[0]))
        if position != bounds[record + 1]:
            status[record] = position
        elif spans > MAX_SPANS or (
            spans > MAX_SMALL_SPANS and bounds[record + 1] - bounds[record] < MIN_SPAN_BYTES * spans
        ):
            status[record] = TOO_MANY_SPANS
        elif count > items.shape[0] or state[CALLS] + spans > capacity or state[BEATS] + MAX_BEATS > beats.shape[0]:
            state[NEED_ITEMS], state[NEED_ROWS] = count, state[CALLS] + spans
            return record
        else:
            for c in range(KEPT_COUNTERS):
                before[c] = state[CALLS + c]
            status[record] = take_items(
                base, int(bounds[records]), items, count, record, table_at, rows_at, capacity, state_at
            )  # fmt: skip
            if status[record] == 0:
                note_beats(items, count, record, beats, state)
            else:
                for c in range(KEPT_COUNTERS):
                    state[CALLS + c] = before[c]
    return records
