"""How firings add up, call by call, in rows of fixed size: no result depends on how calls were cut into batches.

A group's row holds no more than what its condition asks for: the newest times of firings, sums in sixty parts of the
timespan, or the newest time of each rule. A firing that comes out of its order counts in its place, and one that is
older than the timespan counts for nothing. Slot 0 is everything over the quota, and is not counted.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

Array = NDArray[Any]

PARTS: Final = 60
"""Parts of a timespan in which sums are kept: what is older than 59 of them may be left out already."""


@kernel
def count_calls(slot: Array, time_ns: Array, span_ns: int, times: Array, out: Array) -> None:
    """Counts calls: the newest times of each group, newest first; a 0 is none.

    Args:
        times: int64 [slots, n]: as many as must come together.
        out: float64 per firing: how many are within the timespan, where it is n; NaN: fewer.
    """
    n = times.shape[1]
    for i in range(slot.shape[0]):
        k = slot[i]
        out[i] = np.nan
        if k == 0:
            continue
        t = time_ns[i]
        at = 0
        while at < n and times[k, at] > t:
            at += 1
        for j in range(n - 1, at, -1):
            times[k, j] = times[k, j - 1]
        if at < n:
            times[k, at] = t
        begin = times[k, 0] - span_ns
        if t >= begin and times[k, n - 1] != 0 and times[k, n - 1] >= begin:
            out[i] = n


@kernel
def sum_values(
    slot: Array,
    time_ns: Array,
    value: Array,
    span_ns: int,
    least: float,
    beyond: bool,
    newest: Array,
    sums: Array,
    out: Array,
) -> None:
    """Adds values up in parts of the timespan.

    Args:
        value: float64 per firing; what is no finite number adds nothing.
        newest: int64 per slot: the newest part that was added to, from 1; 0: none.
        sums: float64 [slots, PARTS].
        out: float64 per firing: the sum, where it is enough; NaN: it is not.
    """
    width = (span_ns + PARTS - 1) // PARTS
    for i in range(slot.shape[0]):
        k = slot[i]
        out[i] = np.nan
        if k == 0 or not np.isfinite(value[i]):
            continue
        part = time_ns[i] // width + 1
        head = newest[k]
        if part > head:
            first = max(head + 1, part - PARTS + 1)
            for one in range(first, part + 1):
                sums[k, one % PARTS] = 0.0
            newest[k] = head = part
        if part <= head - PARTS:
            continue
        sums[k, part % PARTS] += value[i]
        total = 0.0
        for one in range(PARTS):
            total += sums[k, one]
        if total > least or (total == least and not beyond):
            out[i] = total


@kernel
def count_rules(slot: Array, time_ns: Array, fired: Array, span_ns: int, least: int, times: Array, out: Array) -> None:
    """Counts rules that fire near each other: the newest time of each.

    Args:
        fired: uint64 per firing: bit r: the group's r-th rule fired.
        times: int64 [slots, rules]; 0: never.
        out: float64 per firing: how many rules fired within the timespan, where they are enough; NaN: they are not.
    """
    rules = times.shape[1]
    one = np.uint64(1)
    for i in range(slot.shape[0]):
        k = slot[i]
        out[i] = np.nan
        if k == 0:
            continue
        t = time_ns[i]
        newest = t
        for r in range(rules):
            if (fired[i] >> np.uint64(r)) & one and times[k, r] < t:
                times[k, r] = t
            newest = max(newest, times[k, r])
        begin = newest - span_ns
        count = 0
        for r in range(rules):
            if times[k, r] != 0 and times[k, r] >= begin:
                count += 1
        if t >= begin and count >= least:
            out[i] = count
