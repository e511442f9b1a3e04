"""Minutes with far more volume than usual, and a slow increase of the usual volume."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.extent import EXTENT, damped_distance_outside, extend_range, start_range
from backwatch.detector.baselines.level import LEVEL, MIN_COUNT, SCORE_BOUND, update
from backwatch.detector.detectors import Array, ClosedWindows, Detector
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
            excess[i] = damped_distance_outside(extent, x)
        score[i] = update(rows, k, x, end_ns[i], quiet)
        if rows[k]["count"] >= MIN_COUNT:
            drift[i] = rows[k]["drift"]
        if rows[k]["count"] == 1:
            start_range(extent, x)
        elif quiet and not abs(score[i]) >= SCORE_BOUND:
            extend_range(extent, x)


class VolumeSpike(Detector):
    """Compares a minute's volume with the resource's usual minute."""

    id = "volume-spike"
    derives = (
        derived_fact(
            "backwatch.volume.bytes.score",
            "Deviations of the minute's bytes received above the resource's usual minute; NaN until 30 minutes "
            "with calls are known.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.bytes.excess",
            "Distance of the minute's bytes received beyond the range seen so far, in widths of that range; "
            "less where it is wide.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.sent.score",
            "Deviations of the minute's bytes sent above the resource's usual minute; NaN until 30 minutes with "
            "calls are known.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.sent.excess",
            "Distance of the minute's bytes sent beyond the range seen so far, in widths of that range; less "
            "where it is wide.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.rows.score",
            "Deviations of the minute's rows returned above the resource's usual minute; NaN until 30 minutes "
            "with calls are known.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.rows.excess",
            "Distance of the minute's rows returned beyond the range seen so far, in widths of that range; less "
            "where it is wide.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.calls.score",
            "Deviations of the minute's calls above the resource's usual minute; NaN until 30 minutes with "
            "calls are known.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.calls.excess",
            "Distance of the minute's calls beyond the range seen so far, in widths of that range; less where "
            "it is wide.",
            scope="window",
        ),
        derived_fact(
            "backwatch.volume.drift",
            "The greatest sum of deviations above a slowly adapting usual minute, of bytes received, bytes "
            "sent, rows and calls.",
            scope="window",
        ),
    )
    tables = (
        *(Table(f"volume_spike_{name}", RESOURCE, 1, LEVEL) for name in MEASURES),
        *(Table(f"volume_spike_{name}_extent", RESOURCE, 1, EXTENT) for name in MEASURES),
    )

    def window(self, closed: ClosedWindows, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
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
