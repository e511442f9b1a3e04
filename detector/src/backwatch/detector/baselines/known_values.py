"""A small set of what a place usually shows: certificates, peers, redirect hosts. Fixed size, learnt from quiet calls.

Until the place is settled, what it shows is taken as known (trust on first use). Afterwards something new is *new*
until it has gone on quietly for a week, leaving out no more than a weekend. Where there is no room, what nobody has
shown for a week makes some. A place that shows more kinds than fit, or keeps showing kinds once, is never settled. What
people said will come is no surprise and crowds nobody out, and a place for which they said it before it showed anything
takes nothing on trust: it is *pinned*.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, broke_off, day_of, settled
from backwatch.detector.kernels.compiled import kernel

MEMBERS: Final = 8


def familiar(members: int) -> "np.dtype[Any]":
    """A set with room for so many kinds: 25 bytes each, and 25."""
    return np.dtype([
        ("member", "<u8", (members,)), ("first_ns", "<i8", (members,)), ("last_ns", "<i8", (members,)),
        ("known", "u1", (members,)), ("since_ns", "<i8"), ("crowded_ns", "<i8"), ("calls", "<u4"), ("once", "<u4"),
        ("pinned", "u1"),
    ])  # fmt: skip


FAMILIAR: Final = familiar(MEMBERS)
"""One set: 225 bytes."""

KNOWN: Final = 0
NEW: Final = 1
LEARNING: Final = 2
"""What :func:`meet` says of a value: known; new at a settled place; new, and no surprise."""

FOR_NOW: Final = 1
EXPECTED: Final = 2
"""What people said of a value: accepted until an end, and not to be learnt; known for good. 0: nothing."""


@kernel
def is_settled(row: Any, time_ns: int, after_ns: int) -> bool:
    """Whether this place's kinds have repeated enough, for long enough, and all fit."""
    crowded = row["crowded_ns"] != 0 and time_ns - row["crowded_ns"] < LEARN_AFTER_NS
    return not crowded and time_ns - row["since_ns"] >= after_ns and settled(row["once"], row["calls"])


@kernel
def find(row: Any, value: Any) -> int:
    """Where the value is, or -1."""
    for m in range(row["member"].shape[0]):
        if row["member"][m] == value:
            return m
    return -1


@kernel
def _victim(row: Any) -> int:
    """The place to take: an empty one, else the stalest one that is not known, else the stalest."""
    best = 0
    for m in range(row["member"].shape[0]):
        if row["member"][m] == 0:
            return m
        m_known, best_known = row["known"][m] != 0, row["known"][best] != 0
        if (best_known and not m_known) or (m_known == best_known and row["last_ns"][m] < row["last_ns"][best]):
            best = m
    return best


@kernel
def _enter(row: Any, value: Any, time_ns: int, last_ns: int, known: bool, expected: bool) -> bool:
    """Takes a value in; whether there was room."""
    at = _victim(row)
    taken = row["member"][at] != 0 and row["known"][at] != 0
    if taken and time_ns - row["last_ns"][at] < LEARN_AFTER_NS:  # else nobody has shown it for a week: it makes room
        if not known or expected:
            return False  # what is new never takes the place of what is known; what is expected needs none
        row["crowded_ns"] = time_ns
    row["member"][at] = value
    row["first_ns"][at] = time_ns
    row["last_ns"][at] = last_ns
    row["known"][at] = known
    return True


@kernel
def meet(rows: Any, k: int, value: Any, time_ns: int, after_ns: int, learn: bool, expected: int) -> int:
    """Says what a value is to this place, then learns from it.

    Args:
        rows: Array of ``FAMILIAR`` rows, or of another size of set.
        value: A keyed hash; 0: none was told.
        after_ns: How long a place must be known before it can settle.
        learn: Whether the call may teach.
        expected: What people said of this value here: 0, ``FOR_NOW`` or ``EXPECTED``.
    """
    if value == 0:
        return KNOWN
    row = rows[k]
    surprising = row["pinned"] != 0 or is_settled(row, time_ns, after_ns)
    at = find(row, value)
    known = at >= 0 and row["known"][at] != 0
    if expected == FOR_NOW and not known:
        if learn and at >= 0:
            row["first_ns"][at] = time_ns  # the week of quiet that makes it known begins when the acceptance ends
        return KNOWN
    if learn:
        if row["since_ns"] == 0:
            row["since_ns"] = time_ns
        if at < 0:
            # What a settled place was told to expect does not count as a kind that it showed once.
            last_ns = time_ns + 1 if surprising else time_ns
            expects = expected == EXPECTED
            if _enter(row, value, time_ns, last_ns, expects or not surprising, expects) and not surprising:
                row["once"] += 1
        else:
            if row["last_ns"][at] == row["first_ns"][at] and known and row["once"] > 0:
                row["once"] -= 1
            if not known and broke_off(day_of(row["last_ns"][at]), time_ns):
                row["first_ns"][at] = time_ns
            row["last_ns"][at] = max(time_ns, row["last_ns"][at] + 1)
            if not known and (expected == EXPECTED or time_ns - row["first_ns"][at] >= LEARN_AFTER_NS):
                row["known"][at] = 1
        if known or expected == EXPECTED or not surprising:
            row["calls"] = min(row["calls"] + 1, 1_000_000_000)
    if known or expected == EXPECTED:
        return KNOWN
    return NEW if surprising else LEARNING
