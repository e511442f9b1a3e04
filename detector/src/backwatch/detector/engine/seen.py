"""Sums over the calls of a batch by resource: what the store keeps of each resource that was seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel


@kernel
def sum_seen(address: Any, slot: Any, time_ns: Any, error: Any, out: NDArray[np.int64]) -> int:
    """Sum the calls of each distinct address and return the number of them. Calls in slot 0 are left out.

    Args:
        out: int64 [4, calls], filled: row of the newest call, the first one of equals; time of the first call; calls;
            errors.
    """
    size = 16
    while size < 2 * address.shape[0]:
        size *= 2
    place, count = np.full(size, -1, np.int64), 0
    for i in range(address.shape[0]):
        if slot[i] == 0:
            continue
        cell = np.int64(address[i] >> np.uint64(1) & np.uint64(size - 1))  # the last bit of an address is set
        while place[cell] >= 0 and address[out[0, place[cell]]] != address[i]:
            cell = (cell + 1) % size
        at = place[cell]
        if at < 0:
            at = place[cell] = count
            count += 1
            out[0, at], out[1, at], out[2, at], out[3, at] = i, time_ns[i], 0, 0
        elif time_ns[i] > time_ns[out[0, at]]:
            out[0, at] = i
        out[1, at] = min(out[1, at], time_ns[i])
        out[2, at] += 1
        out[3, at] += error[i]
    return count
