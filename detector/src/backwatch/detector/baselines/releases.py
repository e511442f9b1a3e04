"""Which release of an app a call comes from, in the order in which they were first seen, and whether it is young.

A release is a reason for what is new. It holds for an hour after its first call, and at a place that is seldom used
for its first calls from there. An older release that goes on beside it, or is rolled back to, is none. No more than
eight in a day are taken for releases: an app whose processes each name another one would never be surprised.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel

REMEMBERED: Final = 8
YOUNG_NS: Final = 3_600 * 1_000_000_000
"""One hour: within it a release that is rolled out shows most of what it asks for."""

RELEASES: Final = np.dtype([
    ("release", "<u4", (REMEMBERED,)), ("count", "<u2"), ("newest_ns", "<i8"), ("first_ns", "<i8", (REMEMBERED,)),
])  # fmt: skip
"""The releases of one app at one resource: 106 bytes."""
_DAY_NS: Final = 24 * YOUNG_NS
_MOST: Final = 65_535


@kernel
def number_of(row: Any, release: Any, time_ns: int, learn: bool) -> int:
    """The release's number, from 1 on; 0: none was told, or it is one too many of a day.

    Args:
        row: One of ``RELEASES``; changed where the release is new and the call may teach.
        release: A keyed hash; 0: none was told.
        time_ns: The call's.
        learn: Whether the call may teach.
    """
    if release == 0:
        return 0
    tag = np.uint32(release >> np.uint64(32)) | np.uint32(1)
    count = int(row["count"])
    for back in range(min(count, REMEMBERED)):
        if row["release"][(count - 1 - back) % REMEMBERED] == tag:
            return count - back
    oldest = count % REMEMBERED
    if count >= REMEMBERED and time_ns - row["first_ns"][oldest] < _DAY_NS:
        return 0
    if learn and count < _MOST:
        row["release"][oldest] = tag
        row["first_ns"][oldest] = time_ns
        row["count"] = count + 1
        row["newest_ns"] = time_ns
    return min(count + 1, _MOST)


@kernel
def is_young(row: Any, number: int, time_ns: int) -> bool:
    """Whether it is the newest release, and an hour old at most."""
    count = int(row["count"])
    return number > count or (number > 0 and number == count and time_ns - row["newest_ns"] <= YOUNG_NS)
