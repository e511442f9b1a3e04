"""Event time and the watermark.

The event time of a call is its end, but never later than its record's first append. The watermark only grows.

The client's clock is the attacker's. Windows, deadlines and clearing happen only at boundaries, multiples of ten
seconds of watermark, where ``step`` cuts its batches.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

Array = NDArray[Any]

BOUNDARY_NS = 10 * 1_000_000_000
WINDOW_NS = 60 * 1_000_000_000


@kernel
def _advance(
    record: Array,
    end_ns: Array,
    appended_ns: Array,
    backfill: Array,
    lateness_ns: int,
    watermark: int,
    time_ns: Array,
    mark_ns: Array,
) -> int:
    records = appended_ns.shape[0]
    calls = end_ns.shape[0]
    at = 0
    high = watermark
    for r in range(records):
        if not backfill[r]:
            high = max(high, appended_ns[r] - lateness_ns)
        while at < calls and record[at] == r:
            end = end_ns[at]
            # Past calls, too, lie before their append: else one forged record would move the shard into the next
            # century, and all that follows would be late. In a replay the append time is not known.
            if end > appended_ns[r] and (not backfill[r] or appended_ns[r] > 0):
                end = appended_ns[r]
            if backfill[r]:
                high = max(high, end)
            time_ns[at] = end
            mark_ns[at] = high
            at += 1
    return high


def advance(
    record: NDArray[np.int32],
    end_ns: NDArray[np.int64],
    appended_ns: NDArray[np.int64],
    backfill: NDArray[np.bool_],
    lateness_ns: int,
    watermark_ns: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Event time and watermark of each call, and the watermark after all records.

    Args:
        record: The record of each call, ascending.
        end_ns: The reported end of each call.
        appended_ns, backfill: Per record.
        watermark_ns: As it stood before.
    """
    time_ns = np.empty(end_ns.shape[0], np.int64)
    mark_ns = np.empty(end_ns.shape[0], np.int64)
    high = _advance(record, end_ns, appended_ns, backfill, lateness_ns, watermark_ns, time_ns, mark_ns)
    return time_ns, mark_ns, int(high)


def runs(mark_ns: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Split a batch where its watermark passes a boundary.

    Returns:
        First call, end, and the boundary that applies to these calls.
    """
    if not mark_ns.shape[0]:
        return []
    boundary = mark_ns // BOUNDARY_NS
    cuts = np.flatnonzero(np.diff(boundary)) + 1
    starts = [0, *cuts.tolist()]
    ends = [*cuts.tolist(), mark_ns.shape[0]]
    return [(start, end, int(boundary[start]) * BOUNDARY_NS) for start, end in zip(starts, ends, strict=True)]
