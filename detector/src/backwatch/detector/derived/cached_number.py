"""One number per distinct text, kept in a small table in which a newer text may replace an older one.

The table holds a pure function: dropping it changes no result. A lookup of a known text costs a few nanoseconds.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

CELLS: Final = 1 << 13
FACTORS: Final = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
"""Odd factors, so that no bits are lost. They combine three keyed hashes to a key that attackers cannot target."""


@kernel
def _lookup(hashes: Any, keys: Any, values: Any, out: Any, missing: Any) -> int:
    mask = np.uint64(keys.shape[0] - 1)
    count = 0
    for i in range(hashes.shape[0]):
        key = hashes[i]
        if key == 0:
            continue
        cell = key >> np.uint64(1) & mask  # the last bit of a keyed hash is set
        if keys[cell] == key:
            out[i] = values[cell]
        else:
            missing[count] = i
            count += 1
    return count


class CachedNumber:
    """A cache of one number per distinct text."""

    def __init__(self) -> None:
        self._keys, self._values = np.zeros(CELLS, np.uint64), np.zeros(CELLS, np.int64)

    def of(self, hashes: NDArray[np.uint64], read: Callable[[int], int], absent: int = -1) -> NDArray[np.int64]:
        """Return the number of each call; ``absent`` where the hash is 0.

        Args:
            read: Returns the number of a row's text: 64 bits, with or without a sign.
        """
        out = np.full(hashes.shape[0], absent, np.int64)
        if not hashes.any():
            return out
        missing = np.empty(hashes.shape[0], np.int64)
        found: dict[int, int] = {}
        for row in missing[: _lookup(hashes, self._keys, self._values, out, missing)].tolist():
            key = int(hashes[row])
            if key not in found:
                number = read(row)
                found[key] = number - (1 << 64) if number >> 63 > 0 else number
                cell = key >> 1 & (self._keys.shape[0] - 1)
                self._keys[cell], self._values[cell] = key, found[key]
            out[row] = found[key]
        return out


def join_hashes(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return one hash of two texts, 0 where the first is absent."""
    if not first.any():
        return first
    return np.where(first != 0, (first * FACTORS[0]) ^ (second * FACTORS[1]) | np.uint64(1), np.uint64(0))
