"""The state of a call site, of a statement at a call site, and of a statement at any call site of the resource.

Source of the estimate: ``settled.py``.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, day_of, has_lapsed
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import FIRST, SECOND

MAX_WAITING: Final = 8
"""Statements seen once before a call site settled that it can still recognise."""
VARIOUS: Final = 8
"""Different statements from which on a call site counts as dynamic, such as a search form or an import of any length:
statements with other filters, lists or orders are no surprise there."""
CALL_SITE: Final = np.dtype([
    ("calls", "<u4"), ("once", "<u4"), ("restless_since_ns", "<i8"), ("restless", "<u4"), ("next", "<u4"),
    ("waiting", "<u4", (MAX_WAITING,)), ("release", "<u2"), ("fresh", "u1"), ("kinds", "u1"),
    ("restless_day", "<u2"),
])  # fmt: skip
STATEMENT_AT_SITE: Final = np.dtype([("first_ns", "<i8"), ("known", "u1")])
"""``known`` holds the bits ``KNOWN_HERE``, ``ALONE`` and ``COMPARED``, and between them the day, counted from that of
``first_ns``, on which a waiting statement was last seen: at most seven. The two highest bits count the
sightings of what may be a form of a new call site."""
KNOWN_HERE: Final = 1
ALONE: Final = 2
"""It was sent once, and a call of its own fetched its rows, which does not count as sending it again."""
_DAY_BIT: Final = 2
COMPARED: Final = 32
"""Its structure is among those that new statements of the call site are compared with."""
_FORM_BIT: Final = 6
_FORM_SIGHTINGS: Final = 3
FORM_BITS: Final = _FORM_SIGHTINGS << _FORM_BIT
_FORM_CALLS: Final = 150
"""A doubtful statement that is sent so often within so many calls of a new call site is one of its own forms."""
STATEMENT_ANYWHERE: Final = np.dtype([("known", "u1")])
"""The same two bits of a statement at the whole resource: it is known at one of its call sites at least."""


@kernel
def note_restless(site: Any, time_ns: int) -> None:
    """Count a new quiet statement at a settled call site. After a week of them the call site is no longer settled."""
    for_long = time_ns - site["restless_since_ns"] > 2 * LEARN_AFTER_NS
    if site["restless"] == 0 or for_long or has_lapsed(site["restless_day"], time_ns):
        site["restless_since_ns"] = time_ns
        site["restless"] = 0
    site["restless"] += 1
    site["restless_day"] = day_of(time_ns)
    if site["restless"] >= MIN_CALLS and time_ns - site["restless_since_ns"] >= LEARN_AFTER_NS:
        site["calls"] = 0
        site["once"] = 0
        site["restless"] = 0


@kernel
def count_call(site: Any, sighting: int, goes_on: bool, alone: bool) -> bool:
    """Count a quiet call of a call site; return whether its statement was sent only once so far."""
    if goes_on:
        return alone or sighting == SECOND
    site["calls"] = min(site["calls"] + 1, 1_000_000_000)
    if sighting == FIRST:
        site["once"] += 1
        site["kinds"] = min(site["kinds"] + 1, 255)
    elif (alone or sighting == SECOND) and site["once"] > 0:
        site["once"] -= 1
    return False


@kernel
def remember(site: Any, fingerprint: Any) -> None:
    """Remember a statement's first quiet call before the call site settles: its second must never surprise."""
    site["waiting"][site["next"] % MAX_WAITING] = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    site["next"] = (site["next"] + 1) % MAX_WAITING


@kernel
def is_remembered(site: Any, fingerprint: Any) -> bool:
    """Return whether :func:`remember` noted the statement recently."""
    tag = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    found = False
    for i in range(MAX_WAITING):
        found = found or site["waiting"][i] == tag
    return found


@kernel
def count_waiting(statement: Any, time_ns: int) -> None:
    """Count a quiet call with a new statement, which becomes known after a quiet week."""
    last_day = day_of(statement["first_ns"]) + (int(statement["known"]) >> _DAY_BIT)
    if statement["first_ns"] == 0 or has_lapsed(last_day, time_ns):
        statement["first_ns"] = time_ns
    elif time_ns - statement["first_ns"] >= LEARN_AFTER_NS:
        statement["known"] = KNOWN_HERE | (statement["known"] & ALONE)
        return
    days = min(max(day_of(time_ns) - day_of(statement["first_ns"]), 0), 7)
    kept = KNOWN_HERE | ALONE | FORM_BITS
    statement["known"] = (statement["known"] & kept) | (days << _DAY_BIT)


@kernel
def may_be_form(site: Any, statement: Any, asks_more: bool) -> bool:
    """Return whether a doubtful statement may be a form of its call site, which is new.

    One that asks for more must have been sent there before.
    """
    if np.int64(statement["known"]) >> _FORM_BIT > 0:
        return bool(site["calls"] <= _FORM_CALLS)
    return not asks_more and site["calls"] < MIN_CALLS


@kernel
def count_form(site: Any, statement: Any) -> bool:
    """Count a doubtful statement of a new call site; return whether it is a form of it by now."""
    sightings = np.int64(statement["known"]) >> _FORM_BIT
    if site["calls"] > (_FORM_CALLS if sightings > 0 else MIN_CALLS):
        return False
    sightings = min(sightings + 1, _FORM_SIGHTINGS)
    statement["known"] = (np.int64(statement["known"]) & ((1 << _FORM_BIT) - 1)) | (sightings << _FORM_BIT)
    return sightings == _FORM_SIGHTINGS


@kernel
def is_of_release(site: Any, number: int, young: bool, learn: bool) -> bool:
    """Return whether a new release may explain this call; count the call site's first calls under the release."""
    if number <= 1 or number < site["release"]:  # the first release explains nothing
        return False
    if number > site["release"]:
        if learn:
            site["release"] = number
            site["fresh"] = MIN_CALLS
        return True
    fresh = site["fresh"] > 0
    if learn and fresh:
        site["fresh"] -= 1
    return fresh or young
