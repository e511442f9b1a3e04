"""What is remembered of a place that sends statements, of a statement there, and of a statement anywhere.

Source of the estimate: ``settled.py``.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, broke_off, day_of
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import FIRST, SECOND

WAITING: Final = 8
"""Statements seen just once before a place settled that it can still recognise."""
VARIOUS: Final = 8
"""Different statements from which on a place counts as one that puts them together as it runs: a search form, an import
of any length, a function through which all of an app's queries go."""
PLACE: Final = np.dtype([
    ("calls", "<u4"), ("once", "<u4"), ("restless_since_ns", "<i8"), ("restless", "<u4"), ("next", "<u4"),
    ("waiting", "<u4", (WAITING,)), ("release", "<u2"), ("fresh", "u1"), ("kinds", "u1"),
    ("restless_day", "<u2"),
])  # fmt: skip
PAIR: Final = np.dtype([("first_ns", "<i8"), ("known", "u1")])
"""``known`` holds two bits, ``KNOWN_HERE`` and ``ALONE``, and above them on which day after that of ``first_ns`` a
statement that waits was seen last: at most seven."""
KNOWN_HERE: Final = 1
ALONE: Final = 2
"""It was asked for once and its rows were fetched by a call of their own, which has no second asking's weight."""
_DAY_BIT: Final = 2
ASKED: Final = np.dtype([("known", "u1")])
"""The same two bits of a statement at the resource as a whole: it is known at one of its places at least."""


@kernel
def note_restless(place: Any, time_ns: int) -> None:
    """A new quiet statement at a settled place. Where they go on for a week the place is not settled after all."""
    for_long = time_ns - place["restless_since_ns"] > 2 * LEARN_AFTER_NS
    if place["restless"] == 0 or for_long or broke_off(place["restless_day"], time_ns):
        place["restless_since_ns"] = time_ns
        place["restless"] = 0
    place["restless"] += 1
    place["restless_day"] = day_of(time_ns)
    if place["restless"] >= MIN_CALLS and time_ns - place["restless_since_ns"] >= LEARN_AFTER_NS:
        place["calls"] = 0
        place["once"] = 0
        place["restless"] = 0


@kernel
def count(place: Any, sighting: int, goes_on: bool, alone: bool) -> bool:
    """A quiet call that may teach what this place shows; whether its statement was asked for once until now."""
    if goes_on:
        return alone or sighting == SECOND
    place["calls"] = min(place["calls"] + 1, 1_000_000_000)
    if sighting == FIRST:
        place["once"] += 1
        place["kinds"] = min(place["kinds"] + 1, 255)
    elif (alone or sighting == SECOND) and place["once"] > 0:
        place["once"] -= 1
    return False


@kernel
def remember(place: Any, fingerprint: Any) -> None:
    """A statement's first quiet call at a place not yet settled: its second must not surprise, whenever it comes."""
    place["waiting"][place["next"] % WAITING] = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    place["next"] = (place["next"] + 1) % WAITING


@kernel
def remembers(place: Any, fingerprint: Any) -> bool:
    """Whether :func:`remember` noted it lately."""
    tag = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    found = False
    for i in range(WAITING):
        found = found or place["waiting"][i] == tag
    return found


@kernel
def wait(one: Any, time_ns: int) -> None:
    """A new statement that went by quietly: known once it has gone on doing so for a week."""
    last_day = day_of(one["first_ns"]) + (int(one["known"]) >> _DAY_BIT)
    if one["first_ns"] == 0 or broke_off(last_day, time_ns):
        one["first_ns"] = time_ns
    elif time_ns - one["first_ns"] >= LEARN_AFTER_NS:
        one["known"] = KNOWN_HERE | (one["known"] & ALONE)
        return
    days = min(max(day_of(time_ns) - day_of(one["first_ns"]), 0), 7)
    one["known"] = (one["known"] & (KNOWN_HERE | ALONE)) | (days << _DAY_BIT)


@kernel
def is_of_release(place: Any, number: int, young: bool, learn: bool) -> bool:
    """Whether a new release may have brought what this place shows now; counts the place's first calls under it."""
    if number <= 1 or number < place["release"]:  # the first one is no news
        return False
    if number > place["release"]:
        if learn:
            place["release"] = number
            place["fresh"] = MIN_CALLS
        return True
    fresh = place["fresh"] > 0
    if learn and fresh:
        place["fresh"] -= 1
    return fresh or young
