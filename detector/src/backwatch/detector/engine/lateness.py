"""Apps whose calls come late, stretch by stretch: nothing that is learnt is held against such calls, so it is told.

A few late calls are what queues and restarts make. Where most of an app's are late, its clock is slow, or calls reach
the stream long after they were made, and nobody would notice that the app is not judged.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

LATE: Final = "late"
"""The loss under which an app's late calls are counted where most are."""
STRETCH_NS: Final = 600 * 10**9
"""Watermark after which it is looked at."""
FEWEST: Final = 20
"""Calls of an app to say something of; with fewer, its stretch goes on."""

LATENESS: Final = Table("engine_lateness", RESOURCE, 1, np.dtype([("late", "<u4"), ("on_time", "<u4")]))


def came_late(slot: NDArray[np.int32], late: NDArray[np.bool_], rows: Rows) -> None:
    """Counts late calls. Slot 0 is nobody's."""
    np.add.at(rows["late"], slot[late & (slot != 0)], 1)


def came_on_time(slots: NDArray[np.int32], calls: NDArray[np.int64], rows: Rows) -> None:
    """Counts the calls of windows that closed."""
    rows["on_time"][slots] += calls.astype(np.uint32)


def mark_between(after_ns: int, before_ns: int) -> int:
    """The first end of a stretch in (after, before); 0 where there is none."""
    mark_ns = (after_ns // STRETCH_NS + 1) * STRETCH_NS
    return mark_ns if mark_ns < before_ns else 0


def over(
    rows: Rows, resources: "dict[int, tuple[str, str, str, str]]", dirty: NDArray[Any]
) -> Iterator[tuple[str, int]]:
    """Ends a stretch: (app, its late calls) of those most of whose calls were late.

    Args:
        resources: RESOURCE slot to the key's parts, the app first.
        dirty: Per slot; set where a row changes.
    """
    apps: dict[str, list[int]] = {}
    for slot in np.flatnonzero((rows["late"] != 0) | (rows["on_time"] != 0)).tolist():
        apps.setdefault(resources[slot][0], []).append(slot)
    for app, slots in sorted(apps.items()):
        late, on_time = int(rows["late"][slots].sum()), int(rows["on_time"][slots].sum())
        if late and late + on_time < FEWEST:
            continue
        rows[slots] = np.zeros(1, rows.dtype)
        dirty[slots] = True
        if late > on_time:
            yield app, late
