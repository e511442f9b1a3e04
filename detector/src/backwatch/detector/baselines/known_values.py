"""A small set of a resource's known values (certificates, peers, redirect hosts), learnt from quiet calls.

Until the resource is settled, its values become known (trust on first use). Afterwards a new value stays *new* until it
has been in use quietly for a week, with gaps no longer than a weekend. A value unused for a week makes room where there
is none. A resource with more values than fit, or with many values seen once, is never settled. An expected value is no
surprise and evicts no other. A resource for which an operator declared values before it showed any trusts no first use:
it is *pinned*.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, day_of, has_lapsed, has_settled
from backwatch.detector.kernels.compiled import kernel

MAX_VALUES: Final = 8


def known_values_dtype(members: int) -> "np.dtype[Any]":
    """Return the dtype of a set with so many values: 25 bytes each, and 25."""
    return np.dtype([
        ("member", "<u8", (members,)), ("first_ns", "<i8", (members,)), ("last_ns", "<i8", (members,)),
        ("known", "u1", (members,)), ("since_ns", "<i8"), ("crowded_ns", "<i8"), ("calls", "<u4"), ("once", "<u4"),
        ("pinned", "u1"),
    ])  # fmt: skip


KNOWN_VALUES: Final = known_values_dtype(MAX_VALUES)
"""One set: 225 bytes."""

KNOWN: Final = 0
NEW: Final = 1
LEARNING: Final = 2
"""Results of :func:`observe`: known; new at a settled resource; new, but no surprise."""

ACCEPTED: Final = 1
EXPECTED: Final = 2
"""Operators' expectations of a value: accepted until a time, and not learnt; known for good. 0: none."""


@kernel
def is_settled(row: Any, time_ns: int, after_ns: int) -> bool:
    """Return whether the values have repeated enough, for long enough, and all fit."""
    crowded = row["crowded_ns"] != 0 and time_ns - row["crowded_ns"] < LEARN_AFTER_NS
    return not crowded and time_ns - row["since_ns"] >= after_ns and has_settled(row["once"], row["calls"])


@kernel
def find_value(row: Any, value: Any) -> int:
    """Return the value's index, or -1."""
    for m in range(row["member"].shape[0]):
        if row["member"][m] == value:
            return m
    return -1


@kernel
def _find_room(row: Any) -> int:
    """Return the index to use: an empty one, else the stalest that is not known, else the stalest."""
    best = 0
    for m in range(row["member"].shape[0]):
        if row["member"][m] == 0:
            return m
        m_known, best_known = row["known"][m] != 0, row["known"][best] != 0
        if (best_known and not m_known) or (m_known == best_known and row["last_ns"][m] < row["last_ns"][best]):
            best = m
    return best


@kernel
def _insert(row: Any, value: Any, time_ns: int, last_ns: int, known: bool, expected: bool) -> bool:
    """Insert a value; return whether there was room."""
    at = _find_room(row)
    taken = row["member"][at] != 0 and row["known"][at] != 0
    if taken and time_ns - row["last_ns"][at] < LEARN_AFTER_NS:  # otherwise it was unused for a week
        if not known or expected:
            return False  # a new value never evicts a known one; an expected one needs no room
        row["crowded_ns"] = time_ns
    row["member"][at] = value
    row["first_ns"][at] = time_ns
    row["last_ns"][at] = last_ns
    row["known"][at] = known
    return True


@kernel
def observe(rows: Any, k: int, value: Any, time_ns: int, after_ns: int, learn: bool, expected: int) -> int:
    """Classify a value of a resource, then learn from it.

    Args:
        rows: Array of ``KNOWN_VALUES`` rows, or of another size of set.
        value: A keyed hash; 0: absent.
        after_ns: Time for which a resource must be known before it can settle.
        learn: Whether to learn from the call.
        expected: Operators' expectation of this value: 0, ``ACCEPTED`` or ``EXPECTED``.
    """
    if value == 0:
        return KNOWN
    row = rows[k]
    surprising = row["pinned"] != 0 or is_settled(row, time_ns, after_ns)
    at = find_value(row, value)
    known = at >= 0 and row["known"][at] != 0
    if expected == ACCEPTED and not known:
        if learn and at >= 0:
            row["first_ns"][at] = time_ns  # the quiet week that makes it known starts when the acceptance ends
        return KNOWN
    if learn:
        if row["since_ns"] == 0:
            row["since_ns"] = time_ns
        if at < 0:
            # An expected value of a settled resource does not count as a value seen once.
            last_ns = time_ns + 1 if surprising else time_ns
            expects = expected == EXPECTED
            if _insert(row, value, time_ns, last_ns, expects or not surprising, expects) and not surprising:
                row["once"] += 1
        else:
            if row["last_ns"][at] == row["first_ns"][at] and known and row["once"] > 0:
                row["once"] -= 1
            if not known and has_lapsed(day_of(row["last_ns"][at]), time_ns):
                row["first_ns"][at] = time_ns
            row["last_ns"][at] = max(time_ns, row["last_ns"][at] + 1)
            if not known and (expected == EXPECTED or time_ns - row["first_ns"][at] >= LEARN_AFTER_NS):
                row["known"][at] = 1
        if known or expected == EXPECTED or not surprising:
            row["calls"] = min(row["calls"] + 1, 1_000_000_000)
    if known or expected == EXPECTED:
        return KNOWN
    return NEW if surprising else LEARNING
