"""A cache of rule bits per distinct session, statement, resource or content.

The bits are pure functions of the facts, and the cache is cleared when it is full: a flood of new statements costs time
and changes no result. Most entries share their row of bits with others, so that calls read few rows, close together.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.tables import zero_pages

Array = NDArray[Any]

CAPACITY = 1 << 17
MAX_ENTRIES = 1 << 15


@kernel
def _lookup(address: Array, keys: Array, values: Array, out: Array, missing: Array) -> int:
    mask = np.uint64(keys.shape[0] - 1)
    count = 0
    for i in range(address.shape[0]):
        key = address[i]
        cell = key & mask
        while keys[cell] != 0 and keys[cell] != key:
            cell = (cell + np.uint64(1)) & mask
        if keys[cell] == 0:
            missing[count] = i
            count += 1
        else:
            out[i] = values[cell]
    return count


@kernel
def _insert(address: Array, row: Array, keys: Array, values: Array) -> None:
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(address.shape[0]):
        cell = address[i] & mask
        while keys[cell] != 0:
            cell = (cell + np.uint64(1)) & mask
        keys[cell] = address[i]
        values[cell] = row[i]


class EntryIndex:
    """Cached bits of one domain's distinct entries."""

    def __init__(self, domain: str, words: int) -> None:
        self.domain = domain
        self.bits = np.zeros((64, words), np.uint64)
        self._keys = zero_pages(CAPACITY, np.uint64)
        self._values = zero_pages(CAPACITY, np.int32)
        self._count = 0
        self._row_of: dict[bytes, int] = {}

    def rows(
        self,
        address: NDArray[np.uint64],
        bits_of: Callable[[str, Mapping[str, Any]], NDArray[np.uint64]],
        facts_of: Callable[[int], Mapping[str, Any]],
    ) -> NDArray[np.int32]:
        """Return each call's row in ``bits``, for at most 65 536 calls; evaluate new entries on their first call."""
        if self._count > MAX_ENTRIES:
            self._keys[:] = 0
            self._count = 0
            self._row_of.clear()
        out = np.empty(address.shape[0], np.int32)
        missing = np.empty(address.shape[0], np.int64)
        missing = missing[: _lookup(address, self._keys, self._values, out, missing)]
        if missing.shape[0]:
            fresh, first, inverse = np.unique(address[missing], return_index=True, return_inverse=True)
            found = [self._row(bits_of(self.domain, facts_of(row))) for row in missing[first].tolist()]
            rows = np.array(found, np.int32)
            _insert(fresh, rows, self._keys, self._values)
            self._count += rows.shape[0]
            out[missing] = rows[inverse]
        return out

    def _row(self, bits: NDArray[np.uint64]) -> int:
        """Return the row with these bits."""
        row = self._row_of.setdefault(bits.tobytes(), len(self._row_of))
        if row == self.bits.shape[0]:
            self.bits = np.concatenate([self.bits, np.zeros_like(self.bits)])
        self.bits[row] = bits
        return row
