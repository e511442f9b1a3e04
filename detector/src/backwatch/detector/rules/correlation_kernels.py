"""Count firings call by call, in rows of fixed size. No result depends on how calls were cut into batches.

A group's row holds what its condition needs: the newest times of firings, sums in sixty parts of the timespan, or the
newest time of each rule. A firing out of order counts at its own time; one older than the timespan does not count.
Slot 0 is everything over the quota, and is not counted.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

Array = NDArray[Any]

PARTS: Final = 60
"""Parts of a timespan in which sums are kept: values older than 59 of them may be dropped already."""


@kernel
def count_calls(slot: Array, time_ns: Array, span_ns: int, times: Array, out: Array) -> None:
    """Count calls by the newest times of each group, newest first; 0 is an empty cell.

    Args:
        times: int64 [slots, n]: n is the threshold.
        out: float64 per firing: n where n calls are within the timespan; NaN: fewer.
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
    """Sum values in parts of the timespan.

    Args:
        value: float64 per firing; values that are not finite add nothing.
        newest: int64 per slot: the newest part with a value, from 1; 0: none.
        sums: float64 [slots, PARTS].
        out: float64 per firing: the sum, where it reaches the threshold; NaN: below.
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
            for cleared in range(first, part + 1):
                sums[k, cleared % PARTS] = 0.0
            newest[k] = head = part
        if part <= head - PARTS:
            continue
        sums[k, part % PARTS] += value[i]
        total = 0.0
        for cell in range(PARTS):
            total += sums[k, cell]
        if total > least or (total == least and not beyond):
            out[i] = total


@kernel
def count_rules(slot: Array, time_ns: Array, fired: Array, span_ns: int, least: int, times: Array, out: Array) -> None:
    """Count rules that fire near each other, by the newest time of each.

    Args:
        fired: uint64 per firing: bit r: the group's r-th rule fired.
        times: int64 [slots, rules]; 0: never.
        out: float64 per firing: number of rules that fired within the timespan, from the threshold on; NaN: fewer.
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
