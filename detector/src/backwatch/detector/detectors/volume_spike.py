"""Minutes in which a resource moves far more than it usually does, and a usual that creeps up."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.extent import EXTENT, begin, extend, far_outside
from backwatch.detector.baselines.level import BOUND, LEVEL, MIN_COUNT, update
from backwatch.detector.detectors import Array, Closed, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

MEASURES: Final = {"bytes": "bytes_received", "sent": "bytes_sent", "rows": "rows_returned", "calls": "calls"}


@kernel
def _judge(
    amount: Array, suspects: Array, slot: Array, end_ns: Array, rows: Any, extents: Any,
    score: Array, excess: Array, drift: Array,
) -> None:  # fmt: skip
    for i in range(slot.shape[0]):
        k = slot[i]
        if k == 0:
            continue
        x, quiet = np.log1p(max(amount[i], 0)), suspects[i] == 0
        extent = extents[k]
        if rows[k]["count"] >= MIN_COUNT:
            excess[i] = far_outside(extent, x)
        score[i] = update(rows, k, x, end_ns[i], quiet)
        if rows[k]["count"] >= MIN_COUNT:
            drift[i] = rows[k]["drift"]
        if rows[k]["count"] == 1:
            begin(extent, x)
        elif quiet and not abs(score[i]) >= BOUND:
            extend(extent, x)


class VolumeSpike(Detector):
    """Tells how far a minute is from the resource's usual one.

    Provides:
        ``backwatch.volume.bytes.score``: Deviations of the minute's bytes received above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.sent.score``: Deviations of the minute's bytes sent above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.rows.score``: Deviations of the rows returned in the minute above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.calls.score``: Deviations of the minute's calls above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.bytes.excess``: How far the minute's bytes received are outside the range seen so far, in
            widths of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.sent.excess``: How far the minute's bytes sent are outside the range seen so far, in widths
            of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.rows.excess``: How far the rows returned in the minute are outside the range seen so far, in
            widths of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.calls.excess``: How far the minute's calls are outside the range seen so far, in widths of
            it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.drift``: Of bytes received, bytes sent, rows and calls, the greatest sum of departures above
            a slowly learnt minute.
    """

    id = "volume-spike"
    window_provides = (
        *(f"backwatch.volume.{name}.{what}" for name in MEASURES for what in ("score", "excess")),
        "backwatch.volume.drift",
    )
    tables = (
        *(Table(f"volume_spike_{name}", RESOURCE, 1, LEVEL) for name in MEASURES),
        *(Table(f"volume_spike_{name}_extent", RESOURCE, 1, EXTENT) for name in MEASURES),
    )

    def window(self, closed: Closed, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """As the class says."""
        count = closed.slot.shape[0]
        drift = np.full(count, np.nan)
        facts: dict[str, Array] = {}
        for name, column in MEASURES.items():
            score, excess, mine = (np.full(count, np.nan) for _ in range(3))
            levels, extents = tables[f"volume_spike_{name}"], tables[f"volume_spike_{name}_extent"]
            _judge(closed[column], closed["suspects"], closed.slot, closed.end_ns, levels, extents, score, excess, mine)
            facts[f"backwatch.volume.{name}.score"] = score
            facts[f"backwatch.volume.{name}.excess"] = excess
            drift = np.fmax(drift, mine)
        return {**facts, "backwatch.volume.drift": drift}
