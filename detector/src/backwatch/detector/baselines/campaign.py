"""The course of an injection campaign at one call site: probed, injectable, read out.

A campaign is what statements that were probably injected into do at one call site, until none came for a day. It counts
what it cannot take back: statements, refusals, rows. Its stage never falls.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.changes import CONDITION, QUERY, SET_OPERATION, SUB_SELECT

STAGES: Final = ("probed", "injectable", "read out")
PROBED: Final = 1
INJECTABLE: Final = 2
READ_OUT: Final = 3
ENDS_AFTER_S: Final = 86_400
"""Time without an injected statement after which the next one begins another campaign."""
TEACHES_NOTHING_S: Final = 600
"""After an injected statement, so long no new statement of the call site becomes known."""
MIN_READS: Final = 50
"""Sub-selects whose answers leave one bit or one error text each, from which on data was read."""
MIN_STATEMENTS: Final = 3
"""Statements of a campaign from which on one of which nothing else is known counts as reading."""
MIN_ROWS: Final = 20
ROWS_FACTOR: Final = 4
"""Rows, and times what a call site ever returned, from which on a call returns far more: a condition that is always
true reads so many."""
MIN_DELAY_MS: Final = 1_000
DELAY_FACTOR: Final = 8
"""The longest injected call took so long, and so many times the shortest: time is the answer."""
_MOST: Final = 0xFFFF
_MAX_ROWS: Final = 0xFFFFFFFF

CAMPAIGN: Final = np.dtype([
    ("first_s", "<u4"), ("last_s", "<u4"), ("first_row_s", "<u4"), ("rows", "<u4"), ("tables", "<u4"),
    ("statements", "<u2"), ("failed", "<u2"), ("succeeded", "<u2"), ("reads", "<u2"), ("least_rows", "<u2"),
    ("most_rows", "<u2"), ("shortest_ms", "<u2"), ("longest_ms", "<u2"), ("stage", "u1"), ("changed", "u1"),
])  # fmt: skip
"""``tables`` is a sketch of the names of tables that injected text named: bit i is set if one of them hashes to i."""


@kernel
def is_under_way(campaign: Any, time_s: int) -> bool:
    """Return whether an injected statement came within the last minutes."""
    return bool(campaign["stage"] > 0 and time_s - np.int64(campaign["last_s"]) <= TEACHES_NOTHING_S)


@kernel
def count_tables(sketch: int) -> int:
    """Estimate how many different tables a sketch stands for, by linear counting; 64 where it is full.

    K.-Y. Whang et al., "A linear-time probabilistic counting algorithm for database applications", TODS 15(2), 1990.
    """
    empty = 0
    for bit in range(32):
        empty += (sketch >> bit) & 1 == 0
    return 64 if empty == 0 else round(-32.0 * np.log(empty / 32.0))


@kernel
def _note_answer(campaign: Any, rows: int, milliseconds: int, failed: bool) -> None:
    """Note how a call was answered, and whether answers depend on what was injected."""
    if failed:
        campaign["failed"] = min(np.int64(campaign["failed"]) + 1, _MOST)
    else:
        time_ms = min(max(milliseconds, 1), _MOST)
        first = campaign["succeeded"] == 0
        campaign["succeeded"] = min(np.int64(campaign["succeeded"]) + 1, _MOST)
        campaign["shortest_ms"] = time_ms if first else min(time_ms, np.int64(campaign["shortest_ms"]))
        campaign["longest_ms"] = max(time_ms, np.int64(campaign["longest_ms"]))
        if rows >= 0:
            cells = min(rows, _MOST - 1) + 1  # 0: no call returned a number of rows yet
            least = np.int64(campaign["least_rows"])
            campaign["least_rows"] = cells if least == 0 else min(cells, least)
            campaign["most_rows"] = max(cells, np.int64(campaign["most_rows"]))
    slow = np.int64(campaign["longest_ms"])
    delayed = slow >= MIN_DELAY_MS and slow >= DELAY_FACTOR * np.int64(campaign["shortest_ms"])
    refused_some = campaign["succeeded"] > 0 and campaign["failed"] > 0
    if delayed or refused_some or campaign["least_rows"] != campaign["most_rows"]:
        campaign["stage"] = max(np.int64(campaign["stage"]), INJECTABLE)


@kernel
def returns_more(rows: int, most: int) -> bool:
    """Return whether a call returned far more rows than its call site ever did."""
    return rows >= MIN_ROWS and rows > ROWS_FACTOR * (most + 1)


@kernel
def _count_rows(rows: int, usual_rows: int, changes: int, surely: bool) -> int:
    """Return the rows that left: all of a set operation's, and those that a condition let through beyond the usual."""
    if rows <= 0:
        return 0
    if changes & SET_OPERATION and changes & QUERY and surely:
        return rows
    return rows - usual_rows if returns_more(rows, usual_rows) and changes & CONDITION else 0


@kernel
def note_injected(
    campaign: Any, time_s: int, new: bool, answer: tuple[int, int, int, bool], changes: int, tables: int, sure: bool
) -> None:  # fmt: skip
    """Note one call whose statement was probably injected into.

    Args:
        campaign: The call site's row of ``CAMPAIGN``, written.
        time_s: Time of the call, in seconds of the epoch.
        new: Whether the statement came for the first time, and is not one more call for the rows of the last.
        answer: Rows returned (-1: unknown), the most that the call site returned before, milliseconds, and whether the
            call failed.
        changes: Bits of ``changes.CHANGES``.
        tables: Bits of the tables that injected text names, as in ``CAMPAIGN``.
        sure: Whether it was compared with a known statement, or input of the request is code in it.
    """
    if campaign["stage"] == 0 or time_s - np.int64(campaign["last_s"]) > ENDS_AFTER_S:
        campaign["first_s"], campaign["last_s"], campaign["stage"] = max(time_s, 1), time_s, PROBED
        campaign["first_row_s"], campaign["rows"], campaign["tables"] = 0, 0, 0
        campaign["statements"], campaign["failed"], campaign["succeeded"], campaign["reads"] = 0, 0, 0, 0
        campaign["least_rows"], campaign["most_rows"] = 0, 0
        campaign["shortest_ms"], campaign["longest_ms"] = 0, 0
    campaign["changed"] = 1
    campaign["last_s"] = max(time_s, np.int64(campaign["last_s"]))
    if new:
        campaign["statements"] = min(np.int64(campaign["statements"]) + 1, _MOST)
    campaign["tables"] = np.int64(campaign["tables"]) | tables
    rows, usual_rows, milliseconds, failed = answer
    _note_answer(campaign, rows, milliseconds, failed)
    surely = sure or campaign["statements"] >= MIN_STATEMENTS
    left = 0 if failed else _count_rows(rows, usual_rows, changes, surely)
    asks = changes & QUERY != 0 and (changes & SUB_SELECT != 0 or (changes & SET_OPERATION != 0 and rows < 0))
    if asks and surely:
        campaign["reads"] = min(np.int64(campaign["reads"]) + 1, _MOST)
    campaign["rows"] = min(np.int64(campaign["rows"]) + left, _MAX_ROWS)
    if left > 0 and campaign["first_row_s"] == 0:
        campaign["first_row_s"] = max(time_s, 1)
    if left > 0 or campaign["reads"] >= MIN_READS:
        campaign["stage"] = READ_OUT
