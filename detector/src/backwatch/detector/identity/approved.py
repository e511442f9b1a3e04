"""Approved calls of a shard: keyed hashes of what enforced profiles hold, and until when.

One open-addressed table serves all apps of the shard, so that a call costs one look-up, and none where no profile is
enforced for its app.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE

MAX_APPROVED_KEYS: Final = 1 << 17
"""Keys of all enforced profiles of a shard: 16 bytes each, and twice that while the shard is loaded."""
APPROVED: Final = np.dtype([("key", "<u8"), ("until_ns", "<i8")])
"""A key, and the event time from which it is no longer approved; 0: never."""
MISSING: Final = np.int64(-1)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


@kernel
def find_until(keys: Any, until: Any, key: Any) -> Any:
    """Return until when a key is approved, 0 if for good; ``MISSING`` if it is not in the table."""
    mask = np.uint64(keys.shape[0] - 1)
    at = (key * _SPREAD >> np.uint64(32)) & mask
    while keys[at] != 0:
        if keys[at] == key:
            return until[at]
        at = (at + np.uint64(1)) & mask
    return MISSING


@kernel
def _fill(rows_key: Any, rows_until: Any, keys: Any, until: Any) -> None:
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(rows_key.shape[0]):
        at = (rows_key[i] * _SPREAD >> np.uint64(32)) & mask
        while keys[at] != 0 and keys[at] != rows_key[i]:
            at = (at + np.uint64(1)) & mask
        keys[at] = rows_key[i]
        until[at] = rows_until[i]


@dataclass(slots=True)
class ApprovedCalls:
    """The enforced profiles of one shard.

    Attributes:
        by_app: App to its keys, sorted.
        app_key: uint64 per RESOURCE slot: hash of the app's name where its profile is enforced, else 0.
        keys, until: The table: a power of two of cells, at most half of them in use; key 0 is an empty cell.
        stale: The table does not follow from ``by_app`` yet: the state was just loaded.
    """

    by_app: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    app_key: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(RESOURCE.capacity, np.uint64))
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(2, np.uint64))
    until: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    stale: bool = False
    _fresh: set[str] = field(default_factory=set[str])

    def has_room(self, app: str, count: int) -> bool:
        """Return whether a profile of so many keys fits beside those of other apps."""
        others = sum(rows.shape[0] for name, rows in self.by_app.items() if name != app)
        return others + count <= MAX_APPROVED_KEYS

    def put(self, app: str, rows: NDArray[Any]) -> None:
        """Replace what is enforced for an app; no rows: nothing is."""
        if rows.shape[0]:
            self.by_app[app] = rows
        else:
            self.by_app.pop(app, None)
        self._fresh.add(app)

    def index(self) -> None:
        """Build the table anew."""
        self.stale = False
        count = sum(rows.shape[0] for rows in self.by_app.values())
        size = 1 << max(1, (2 * count).bit_length())
        self.keys, self.until = np.zeros(size, np.uint64), np.zeros(size, np.int64)
        for rows in self.by_app.values():
            _fill(rows["key"].copy(), rows["until_ns"].copy(), self.keys, self.until)

    def changes(self, *, everything: bool) -> Mapping[str, NDArray[Any]]:
        """Return app to its keys: of all apps, or of those changed since :meth:`mark_saved`; no rows: none any more."""
        apps: Iterable[str] = self.by_app if everything else self._fresh
        return {app: self.by_app.get(app, np.empty(0, APPROVED)) for app in sorted(apps)}

    def mark_saved(self) -> None:
        """Mark all changes as saved."""
        self._fresh.clear()

    def take(self, app: str, rows: NDArray[Any]) -> None:
        """Load what :meth:`changes` returned for an app."""
        self.stale = True
        if rows.shape[0]:
            self.by_app[app] = rows
        else:
            self.by_app.pop(app, None)
