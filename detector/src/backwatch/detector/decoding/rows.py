"""Rows of cells while a batch is decoded: one per call, one for the resource, one for the scope.

One matrix holds all of a call, so that a row is handed down as one block and a kernel takes few arrays: each array
that is passed on costs as much as reading an attribute.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.decoding import schema

# The cells of a row: offset and length of each text, each number, each flag, and what every span has.
NUMBERS_AT: Final = 2 * len(schema.TEXTS)
FLAGS_AT: Final = NUMBERS_AT + len(schema.NUMBERS)
FIELDS_AT: Final = FLAGS_AT + len(schema.FLAGS)
START, END, TRACE, SPAN_ID, ERROR, RECORD = range(FIELDS_AT, FIELDS_AT + 6)
WIDTH: Final = FIELDS_AT + 6

# State beside the rows: per cell the attribute list that set it last and the rank of its name, and counters.
SERIAL, CONTRACT, NEED_ITEMS, NEED_ROWS, BEATS, CALLS, SPANS, OVER, NEWER = range(WIDTH, WIDTH + 9)
KEPT_COUNTERS: Final = 4
"""From ``CALLS`` on: what a record that turns out unreadable must leave as it was."""
STATE: Final = WIDTH + 9

BEAT: Final = 5
"""Record, start and end of a resource, start and end of a scope in it that may be a heartbeat."""
MAX_BEATS: Final = 64
"""Heartbeats that one record may hold."""
MAX_BEAT_BYTES: Final = 16_384
MIN_BEAT_BYTES: Final = len(names.SCOPE_HEARTBEAT)
HANDED_DOWN: Final = 2

NUMERALS: Final = 10_000
TAIL: Final = b"http" + b"".join(b"%04d" % number for number in range(NUMERALS))
"""Texts that no span holds but columns may point at; it stands behind the records."""
TAIL_HTTP: Final = 0
TAIL_NUMERALS: Final = 4


Cells = NDArray[np.int64]
Bytes = NDArray[np.uint8]


def text_cell(name: str) -> int:
    """Return the cell of a text's offset in a row; its length is in the next cell."""
    return 2 * schema.TEXT_INDEX[name]


def number_cell(name: str) -> int:
    """Return the cell of a number in a row."""
    return NUMBERS_AT + schema.NUMBER_INDEX[name]


def flag_cell(name: str) -> int:
    """Return the cell of a flag in a row."""
    return FLAGS_AT + schema.FLAG_INDEX[name]


def cell_of(column: schema.Column) -> int:
    """Return the cell of a column's value in a row."""
    return {schema.TEXT: text_cell, schema.NUMBER: number_cell, schema.FLAG: flag_cell}[column.kind](column.name)


def new_rows(capacity: int) -> Cells:
    """Room for so many calls; memory is taken as it is filled."""
    return np.empty((capacity + HANDED_DOWN, WIDTH), np.int64)


def grow_rows(rows: Cells, calls: int, capacity: int) -> Cells:
    """The same calls, with room for more."""
    wider = new_rows(capacity)
    wider[:calls] = rows[:calls]
    return wider
