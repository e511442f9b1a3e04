"""A bounded cache of a pure function, used wherever the detector keeps computed values by key.

Each cache used to empty itself when it was full. One of them did so between storing a value and reading it back, and a
single message with 1 001 distinct names ended every detector that read it. Here the value is returned by the call that
computes it, so eviction can never separate the two.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """At most ``limit`` values of a pure function. The oldest entry makes room for a new one.

    The value must depend on the key alone. Results are then the same for every limit, and a flood of new keys costs
    time in proportion to their number and no memory beyond the limit.

    Args:
        limit: Entries kept, at least 1.
    """

    __slots__ = ("_entries", "_limit")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit={limit}: a cache holds at least one entry")
        self._limit = limit
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the value of ``key``, computed if it is not kept. If ``compute`` raises, nothing changes."""
        try:
            return self._entries[key]
        except KeyError:
            pass
        value = compute()
        # Not before ``compute``, which may use this cache itself.
        if key not in self._entries and len(self._entries) >= self._limit:
            self._entries.popitem(last=False)
        self._entries[key] = value
        return value
