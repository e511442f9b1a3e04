"""The releases of an app in order of first sight, and whether a release is young.

A young release explains new statements: for an hour after its first call, and at a rarely used call site for its first
calls from there. An older release that stays in use, or a rollback to one, explains nothing. At most eight a day count
as
releases: an app whose processes each name another one would never be surprised.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel

MAX_RELEASES: Final = 8
YOUNG_NS: Final = 3_600 * 1_000_000_000
"""One hour, in which a new release shows most of its statements."""

RELEASES: Final = np.dtype([
    ("release", "<u4", (MAX_RELEASES,)), ("count", "<u2"), ("newest_ns", "<i8"), ("first_ns", "<i8", (MAX_RELEASES,)),
])  # fmt: skip
"""The releases of one app at one resource: 106 bytes."""
_DAY_NS: Final = 24 * YOUNG_NS
_MAX_COUNT: Final = 65_535


@kernel
def number_of(row: Any, release: Any, time_ns: int, learn: bool) -> int:
    """Return the release's number, from 1 on; 0: absent, or one too many of a day.

    Args:
        row: One of ``RELEASES``; changed where the release is new and ``learn`` is set.
        release: A keyed hash; 0: absent.
        time_ns: Event time of the call.
        learn: Whether to learn from the call.
    """
    if release == 0:
        return 0
    tag = np.uint32(release >> np.uint64(32)) | np.uint32(1)
    count = int(row["count"])
    for back in range(min(count, MAX_RELEASES)):
        if row["release"][(count - 1 - back) % MAX_RELEASES] == tag:
            return count - back
    oldest = count % MAX_RELEASES
    if count >= MAX_RELEASES and time_ns - row["first_ns"][oldest] < _DAY_NS:
        return 0
    if learn and count < _MAX_COUNT:
        row["release"][oldest] = tag
        row["first_ns"][oldest] = time_ns
        row["count"] = count + 1
        row["newest_ns"] = time_ns
    return min(count + 1, _MAX_COUNT)


@kernel
def is_young(row: Any, number: int, time_ns: int) -> bool:
    """Return whether the release is the newest, and at most an hour old."""
    count = int(row["count"])
    return number > count or (number > 0 and number == count and time_ns - row["newest_ns"] <= YOUNG_NS)
