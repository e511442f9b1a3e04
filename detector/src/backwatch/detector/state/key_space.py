"""One key space of one shard: addresses to slots, with quotas, a sketch and dirty marks.

Everything here depends on the order of calls alone, never on how they were cut into batches: slots are given lowest
first, and reclaimed only just before a call that follows a boundary. Reclaimed first is what has been known for the
shortest time, and of that what was seen least recently: a flood of keys takes the place of its own.

Rows are allocated on demand: a space starts with ``INITIAL_ROWS`` and doubles up to its capacity, so that a shard with
one small app costs kilobytes. No result depends on how many rows are allocated.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.state.keys import FIRST, KNOWN, OVERFLOW, SECOND, KeySpace
from backwatch.detector.state.tables import CHANGED, Rows, Table, zero_pages

Array = NDArray[Any]

SKETCH_CELLS = 1 << 16
"""First sightings that wait, per sketched space; a newer one takes an older one's place."""
FULL_SHARE, RELIEVED_SHARE = 0.9, 0.75
"""Above this share of slots taken the space, or one parent's part of it, is relieved down to that share."""
KNOWN_FOR_NS = (60 * 10**9, 3_600 * 10**9, 86_400 * 10**9)
"""From its first sighting to its last: what has passed more of these goes later."""
SETTLED = 2
"""A key that has passed so many of them is settled: its eviction is reported."""
UNSEEN_NS = 30 * 86_400 * 10**9
"""Unseen for longer, it is as good as new: else what is gone for good would hold its slot for ever."""
INITIAL_ROWS = 16
"""Rows that a new space has; the number doubles where a key finds none free, up to the space's capacity."""
NEXT_CALL, DISTINCT, CURSOR, USED, OVERFLOWED = range(5)
"""Fields of :func:`_intern`'s state: the call to go on with, distinct slots so far, the lowest slot that may be free,
slots taken, calls without room."""
_NONE = np.empty(0, np.int32)


@inline
def _note_sighting(key: np.uint64, tags: Array, tags_dirty: Array) -> int:
    """Note a key without a slot in the sketch; return FIRST or SECOND. Without a sketch it is always FIRST."""
    if tags.shape[0] == 0:
        return FIRST
    cell = key & np.uint64(tags.shape[0] - 1)
    tag = np.uint32(key >> np.uint64(32)) | np.uint32(1)
    tags_dirty[cell] = True
    if tags[cell] == tag:
        tags[cell] = 0
        return SECOND
    tags[cell] = tag
    return FIRST


@kernel
def _intern(
    calls: tuple[Array, Array, Array],
    rows: tuple[Array, ...],
    index: Array,
    taken: Array,
    sketch: tuple[Array, Array],
    limits: tuple[int, int, int, int],
    state: Array,
    out: tuple[Array, Array, Array],
) -> None:
    """Intern calls from ``state[NEXT_CALL]`` on. Stop before a call that needs more rows to be allocated."""
    address, parent_slot, time_ns = calls
    keys, parent, first_seen, last_seen, dirty, touched_mark = rows
    now_ns, capacity, per_parent, run = limits
    slot, sighting, touched = out
    mask = np.uint64(index.shape[0] - 1)
    count, cursor, allocated = state[DISTINCT], state[CURSOR], keys.shape[0]
    for i in range(state[NEXT_CALL], address.shape[0]):
        key = address[i]
        at = key & mask
        while index[at] != 0 and keys[index[at]] != key:
            at = (at + np.uint64(1)) & mask
        found = index[at]
        seen = KNOWN
        if found == 0:
            above = parent_slot[i] if parent_slot.shape[0] else 1
            while cursor < allocated and keys[cursor] != 0:
                cursor += 1
            if above != 0 and cursor == allocated and allocated < capacity:
                state[NEXT_CALL], state[DISTINCT], state[CURSOR] = i, count, cursor
                return
            seen = OVERFLOW
            if above != 0:
                seen = _note_sighting(key, sketch[0], sketch[1])
                if seen == SECOND or sketch[0].shape[0] == 0:
                    if cursor < allocated and (per_parent == 0 or taken[above] < per_parent):
                        found = np.int32(cursor)
                        state[USED] += 1
                        keys[found] = key
                        parent[found] = above
                        first_seen[found] = max(time_ns[i], now_ns)
                        index[at] = found
                        if per_parent:
                            taken[above] += 1
                    else:
                        seen = OVERFLOW
                        state[OVERFLOWED] += 1
        slot[i] = found
        sighting[i] = seen
        if found != 0:
            last_seen[found] = max(last_seen[found], time_ns[i])
            dirty[found] = True
        if touched_mark[found] != run:
            touched_mark[found] = run
            touched[count] = found
            count += 1
    state[NEXT_CALL], state[DISTINCT], state[CURSOR] = address.shape[0], count, cursor


@kernel
def _reindex(keys: Array, index: Array) -> None:
    mask = np.uint64(index.shape[0] - 1)
    index[:] = 0
    for found in range(1, keys.shape[0]):
        key = keys[found]
        if key != 0:
            at = key & mask
            while index[at] != 0:
                at = (at + np.uint64(1)) & mask
            index[at] = found


class Space:
    """The slots of one key space in one shard, with their tables."""

    def __init__(self, space: KeySpace, tables: Iterable[Table]) -> None:
        rows = min(INITIAL_ROWS, space.capacity)
        self.space = space
        self.specs = tuple(tables)
        self.keys = np.zeros(rows, np.uint64)
        self.parent = np.zeros(rows, np.int32)
        self.first_seen = np.zeros(rows, np.int64)
        self.last_seen = np.zeros(rows, np.int64)
        self.tables: dict[str, Rows] = {spec.name: np.zeros(rows, spec.dtype) for spec in self.specs}
        self.sketch = zero_pages(SKETCH_CELLS if space.sketched else 0, np.uint32)
        self.sketch_dirty = zero_pages(self.sketch.shape[0], np.bool_)
        self.dirty = np.zeros(rows, np.bool_)
        self._index = np.zeros(_index_cells(rows), np.int32)
        self._taken = np.zeros(space.parent.capacity if space.parent else 1, np.int32)
        self._mark = np.zeros(rows, np.int64)
        self._state = np.zeros(5, np.int64)
        self._state[CURSOR] = 1
        self._run = 0

    @property
    def used(self) -> int:
        """Slots taken."""
        return int(self._state[USED])

    def ensure_rows(self, count: int) -> None:
        """Allocate rows for the slots below ``count``. The number doubles until it suffices, up to the capacity.

        Raises:
            IndexError: The space has fewer slots.
        """
        if count > self.space.capacity:
            raise IndexError(f"{self.space.name} has {self.space.capacity} slots, not {count}")
        rows = self.keys.shape[0]
        if count <= rows:
            return
        while rows < count:
            rows = min(2 * rows, self.space.capacity)
        self.keys, self.parent = _grow(self.keys, rows), _grow(self.parent, rows)
        self.first_seen, self.last_seen = _grow(self.first_seen, rows), _grow(self.last_seen, rows)
        self.dirty, self._mark = _grow(self.dirty, rows), _grow(self._mark, rows)
        for name, table in self.tables.items():
            self.tables[name] = _grow(table, rows)
        self._index = np.zeros(_index_cells(rows), np.int32)
        _reindex(self.keys, self._index)

    def intern(
        self,
        address: NDArray[np.uint64],
        parent_slot: NDArray[np.int32],
        time_ns: NDArray[np.int64],
        now_ns: int = 0,
    ) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]:
        """Return slots and sightings of these calls, in order, and the distinct slots.

        Args:
            now_ns: The boundary that holds: no key is known for longer, regardless of the time of its first call.
        """
        count = address.shape[0]
        slot = np.empty(count, np.int32)
        sighting = np.empty(count, np.int8)
        touched = np.empty(count, np.int32)
        self._run += 1
        state = self._state
        state[NEXT_CALL] = state[DISTINCT] = 0
        calls, sketch = (address, parent_slot, time_ns), (self.sketch, self.sketch_dirty)
        limits = now_ns, self.space.capacity, self.space.per_parent, self._run
        while True:
            rows = self.keys, self.parent, self.first_seen, self.last_seen, self.dirty, self._mark
            _intern(calls, rows, self._index, self._taken, sketch, limits, state, (slot, sighting, touched))
            if state[NEXT_CALL] == count:
                return slot, sighting, touched[: state[DISTINCT]]
            self.ensure_rows(self.keys.shape[0] + 1)

    def take_overflow(self) -> int:
        """Return and reset the number of calls whose key had no room, although its parent had."""
        count = int(self._state[OVERFLOWED])
        self._state[OVERFLOWED] = 0
        return count

    def find_stale(self, now_ns: int) -> NDArray[np.int32]:
        """Return the slots to reclaim now, in order: the space, or one parent's part of it, is nearly full."""
        full = self.used > FULL_SHARE * self.space.capacity
        crowded = np.flatnonzero(self._taken > FULL_SHARE * self.space.per_parent) if self.space.per_parent else _NONE
        if not full and not crowded.shape[0]:
            return _NONE
        taken = np.flatnonzero(self.keys).astype(np.int32)
        first = taken[np.lexsort((taken, self.last_seen[taken], self._rank_by_age(taken, now_ns)))]
        if full:
            return first[: max(0, self.used - int(RELIEVED_SHARE * self.space.capacity))]
        left = int(RELIEVED_SHARE * self.space.per_parent)
        return np.concatenate([
            first[self.parent[first] == above][: max(0, int(self._taken[above]) - left)] for above in crowded.tolist()
        ])  # fmt: skip

    def count_settled(self, slots: NDArray[np.int32], now_ns: int) -> int:
        """Return how many of these slots' keys are settled."""
        return int((self._rank_by_age(slots, now_ns) >= SETTLED).sum())

    def _rank_by_age(self, slots: NDArray[np.int32], now_ns: int) -> NDArray[np.int64]:
        if not self.space.lasting:
            return np.zeros(slots.shape[0], np.int64)
        last = self.last_seen[slots]
        passed = np.searchsorted(KNOWN_FOR_NS, last - self.first_seen[slots], side="right")
        return np.where(now_ns - last > UNSEEN_NS, 0, passed)

    def children_of(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the slots of this space that depend on these slots of its parent space."""
        gone = np.zeros(self._taken.shape[0], np.bool_)
        gone[slots] = True
        return np.flatnonzero(gone[self.parent] & (self.keys != 0)).astype(np.int32)

    def reclaim(self, slots: NDArray[np.int32]) -> None:
        """Free these slots; their rows become zeros."""
        if not slots.shape[0]:
            return
        self.keys[slots] = 0
        self.parent[slots] = 0
        self.first_seen[slots] = 0
        self.last_seen[slots] = 0
        for rows in self.tables.values():
            rows[slots] = np.zeros(1, rows.dtype)
        for table in self.specs:
            if table.marks_changes:
                self.tables[table.name][CHANGED][slots] = 1
        self.dirty[slots] = True
        self.reindex()

    def clear_changed(self) -> None:
        """Clear the marks of rows that were changed since the last delta."""
        for table in self.specs:
            if table.marks_changes:
                self.tables[table.name][CHANGED][self.dirty] = 0

    def reindex(self) -> None:
        """Rebuild everything derived from the keys: index, free slots, quota counts."""
        _reindex(self.keys, self._index)
        self._state[USED] = np.count_nonzero(self.keys)
        self._state[CURSOR] = 1
        self._taken[:] = 0
        if self.space.per_parent:
            taken = self.parent[self.keys != 0]
            self._taken += np.bincount(taken, minlength=self._taken.shape[0]).astype(np.int32)


def _index_cells(rows: int) -> int:
    """Return the number of index cells: a power of two, at least twice the number of rows."""
    return 1 << (2 * rows - 1).bit_length()


def _grow(rows: Array, count: int) -> Array:
    """Return these rows with zeros appended."""
    out = np.zeros(count, rows.dtype)
    out[: rows.shape[0]] = rows
    return out
