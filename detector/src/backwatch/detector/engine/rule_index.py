"""Which conjuncts of which rules can hold for a session, statement, resource or content: a bitset per distinct one.

A cache: pure functions of the facts, dropped when it is full. So a flood of new statements costs time and changes
nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.compiled import kernel

Array = NDArray[Any]

CAPACITY = 1 << 17
FULL = 1 << 15


@kernel
def _lookup(address: Array, keys: Array, values: Array, count: int, fresh: Array, out: Array) -> int:
    mask = np.uint64(keys.shape[0] - 1)
    new = 0
    for i in range(address.shape[0]):
        key = address[i]
        cell = key & mask
        while keys[cell] != 0 and keys[cell] != key:
            cell = (cell + np.uint64(1)) & mask
        if keys[cell] == 0:
            keys[cell] = key
            values[cell] = count + new
            fresh[new] = i
            new += 1
        out[i] = values[cell]
    return new


class EntryIndex:
    """The bitsets of one domain's distinct entries."""

    def __init__(self, domain: str, words: int) -> None:
        self.domain = domain
        self.bits = np.zeros((1024, words), np.uint64)
        self._keys = np.zeros(CAPACITY, np.uint64)
        self._values = np.zeros(CAPACITY, np.int32)
        self._count = 0

    def rows(
        self,
        address: NDArray[np.uint64],
        bits_of: Callable[[str, Mapping[str, Any]], NDArray[np.uint64]],
        facts_of: Callable[[int], Mapping[str, Any]],
    ) -> NDArray[np.int32]:
        """The row in ``bits`` of each call, 65 536 at most; new entries are evaluated on their first call's facts."""
        if self._count > FULL:
            self._keys[:] = 0
            self._count = 0
        out = np.empty(address.shape[0], np.int32)
        fresh = np.empty(address.shape[0], np.int64)
        new = _lookup(address, self._keys, self._values, self._count, fresh, out)
        while self._count + new > self.bits.shape[0]:
            self.bits = np.concatenate([self.bits, np.zeros_like(self.bits)])
        for i in range(new):
            self.bits[self._count + i] = bits_of(self.domain, facts_of(int(fresh[i])))
        self._count += new
        return out
