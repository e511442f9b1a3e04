"""Windows of one minute per resource: integer sums, open until the watermark passes their end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import FIRST, RESOURCE
from backwatch.detector.state.tables import Rows, Table

Array = NDArray[Any]

MAX_CALL_DURATION_NS = 1 << 55
"""What one call may add to a window's duration, a year: who writes its times writes any number."""
MAX_DURATION_SUM_NS = 1 << 62
RING_WINDOWS = 8
"""Windows that may be open at once: the lateness allowed and the boundary's step fit in."""
SUMS = (
    "calls", "errors", "suspects", "bytes_sent", "bytes_received", "rows_returned", "rows_affected", "duration_ns",
    "new_statements",
)  # fmt: skip

WINDOWS = Table(
    "engine_windows",
    RESOURCE,
    1,
    np.dtype([("window", "<i8", (RING_WINDOWS,)), ("sums", "<i8", (RING_WINDOWS, len(SUMS)))]),
)


def add_calls(
    slot: NDArray[np.int32], columns: Mapping[str, Array], suspect: NDArray[np.bool_], rows: Rows
) -> None:  # fmt: skip
    """Add each call that is not late to its resource's window. Slot 0 has no windows.

    Args:
        slot: RESOURCE slot of each call.
        columns: As :class:`~backwatch.detector.detectors.Calls` describes them.
        suspect: Whether each call is a suspect.
        rows: Of the table ``WINDOWS``.
    """
    flags = columns["error"], suspect, columns["statement.sighting"] == FIRST
    volumes = (
        columns[names.BYTES_SENT], columns[names.BYTES_RECEIVED], columns[names.ROWS_RETURNED],
        columns[names.ROWS_AFFECTED],
    )  # fmt: skip
    _add(slot, columns["time_ns"], columns["late"], flags, volumes, columns["duration_ns"], rows)


@kernel
def _add(
    slot: Array,
    time_ns: Array,
    late: Array,
    flags: tuple[Array, Array, Array],
    volumes: tuple[Array, Array, Array, Array],
    duration_ns: Array,
    rows: Array,
) -> None:
    error, suspect, new = flags
    sent, received, returned, affected = volumes
    for i in range(slot.shape[0]):
        k = slot[i]
        if k == 0 or late[i]:
            continue
        window = time_ns[i] // WINDOW_NS + 1
        ring = window % RING_WINDOWS
        row = rows[k]
        if row["window"][ring] != window:
            row["window"][ring] = window
            row["sums"][ring, :] = 0
        sums = row["sums"][ring]
        sums[0] += 1
        sums[1] += 1 if error[i] else 0
        sums[2] += 1 if suspect[i] else 0
        sums[3] += max(sent[i], 0)
        sums[4] += max(received[i], 0)
        sums[5] += max(returned[i], 0)
        sums[6] += max(affected[i], 0)
        sums[7] = min(sums[7] + min(max(duration_ns[i], 0), MAX_CALL_DURATION_NS), MAX_DURATION_SUM_NS)
        sums[8] += 1 if new[i] else 0


@kernel
def _find_open(slots: Array, rows: Array, limit: int, out_slot: Array, out_window: Array) -> int:
    count = 0
    for at in range(slots.shape[0]):
        k = slots[at]
        for ring in range(RING_WINDOWS):
            window = rows[k]["window"][ring]
            if window != 0 and window <= limit:
                out_slot[count] = k
                out_window[count] = window
                count += 1
    return count


def find_closing(used: NDArray[np.int32], rows: Rows, boundary_ns: int) -> list[tuple[int, NDArray[np.int32]]]:
    """Return the windows whose end the boundary has passed: end in nanoseconds and resource slots, ordered by end."""
    slots = np.empty(used.shape[0] * RING_WINDOWS, np.int32)
    window = np.empty(used.shape[0] * RING_WINDOWS, np.int64)
    count = _find_open(used, rows, boundary_ns // WINDOW_NS, slots, window)
    slots, window = slots[:count], window[:count]
    return [(int(number) * WINDOW_NS, np.sort(slots[window == number])) for number in np.unique(window)]


def take(rows: Rows, slots: NDArray[np.int32], end_ns: int) -> Mapping[str, NDArray[np.int64]]:
    """Return the sums of these resources' window that ended at ``end_ns``, and close it."""
    ring = (end_ns // WINDOW_NS) % RING_WINDOWS
    sums = rows["sums"][slots, ring, :].copy()
    rows["window"][slots, ring] = 0
    return {name: np.ascontiguousarray(sums[:, i]) for i, name in enumerate(SUMS)}
