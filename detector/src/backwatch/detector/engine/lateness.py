"""Apps whose calls come late: they are reported, because learned baselines do not apply to late calls.

A few late calls are what queues and restarts make. Where most of an app's are late, its clock is slow, or calls reach
the stream long after they were made. Without a report the operator would not notice that the app is not judged.
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
"""Length of a stretch, in watermark time."""
MIN_CALLS: Final = 20
"""Calls of an app below which its stretch goes on."""

LATENESS: Final = Table("engine_lateness", RESOURCE, 1, np.dtype([("late", "<u4"), ("on_time", "<u4")]))


def count_late(slot: NDArray[np.int32], late: NDArray[np.bool_], rows: Rows) -> None:
    """Count late calls, except those in slot 0."""
    np.add.at(rows["late"], slot[late & (slot != 0)], 1)


def count_on_time(slots: NDArray[np.int32], calls: NDArray[np.int64], rows: Rows) -> None:
    """Count the calls of windows that closed."""
    rows["on_time"][slots] += calls.astype(np.uint32)


def mark_between(after_ns: int, before_ns: int) -> int:
    """Return the first end of a stretch in (after, before); 0 where there is none."""
    mark_ns = (after_ns // STRETCH_NS + 1) * STRETCH_NS
    return mark_ns if mark_ns < before_ns else 0


def over(
    rows: Rows, resources: "dict[int, tuple[str, str, str, str]]", dirty: NDArray[Any]
) -> Iterator[tuple[str, int]]:
    """End a stretch; yield each app most of whose calls were late, with their number.

    Args:
        resources: RESOURCE slot to the key's parts, the app first.
        dirty: Per slot; set where a row changes.
    """
    apps: dict[str, list[int]] = {}
    for slot in np.flatnonzero((rows["late"] != 0) | (rows["on_time"] != 0)).tolist():
        apps.setdefault(resources[slot][0], []).append(slot)
    for app, slots in sorted(apps.items()):
        late, on_time = int(rows["late"][slots].sum()), int(rows["on_time"][slots].sum())
        if late and late + on_time < MIN_CALLS:
            continue
        rows[slots] = np.zeros(1, rows.dtype)
        dirty[slots] = True
        if late > on_time:
            yield app, late
