"""Minutes with far more volume than usual, and a slow increase of the usual volume.

A minute most of whose volume came from code that ran for the first time is learnt, and raises nothing: ``bulk-read``
and ``first-bulk-read`` judge its calls one by one.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact, derived_fact
from backwatch.detector.baselines.first_run import FIRST_CALL, FIRST_RUNS, find_first_runs, share_of_first_runs
from backwatch.detector.baselines.volume_score import DAYS_PER_MONTH, observe
from backwatch.detector.baselines.volume_series import SERIES, STATISTICS, UNSEEN, WARM_COUNT
from backwatch.detector.detectors import Array, Calls, ClosedWindows, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, SITE, SITE_REPORTED
from backwatch.detector.state.tables import Rows, Table

MEASURES: Final = {
    "bytes": ("bytes_received", "bytes received"),
    "sent": ("bytes_sent", "bytes sent"),
    "rows": ("rows_returned", "rows returned"),
    "calls": ("calls", "calls"),
}
"""Name of each measure in facts, with its window's sum and what people call it."""
MAX_FIRST_SHARE: Final = 0.5
"""Share of first runs in a minute's volume from which on that minute raises nothing."""
QUANTILE_SPREADS: Final = 3.0
HIGH_SPREADS: Final = 6.0
EXCESS_SPREADS: Final = 0.55
"""Upper quantile, highest and mean excess of noise, in median absolute departures: for rows of version 1."""


@kernel
def _judge(
    amount: Array, suspects: Array, slot: Array, end_ns: Array, rows: Any, first_runs: Any, measure: int,
    per_month: Array, expected: Array, drift: Array,
) -> None:  # fmt: skip
    for i in range(slot.shape[0]):
        if slot[i] == 0:
            continue
        above, _, usual, ratio = observe(rows, slot[i], max(amount[i], 0), end_ns[i], suspects[i] == 0)
        unusual = above > 0.0 or ratio > 0.0
        if unusual and share_of_first_runs(first_runs[slot[i]], measure, amount[i], end_ns[i]) >= MAX_FIRST_SHARE:
            above = ratio = 0.0
        per_month[i] = DAYS_PER_MONTH * math.exp(-above)
        expected[i] = round(usual) if usual == usual else np.nan
        if ratio > 0.0 and not drift[i] >= ratio:
            drift[i] = ratio


def _facts_of(name: str, words: str) -> tuple[Fact, Fact]:
    return (
        derived_fact(
            f"backwatch.volume.{name}.per_month",
            f"How often a month a minute with so many {words} is expected of this resource: 30 or less; NaN until "
            f"{WARM_COUNT} minutes with calls are known. A minute that does not exceed the last peak counts as usual.",
            scope="window",
        ),
        derived_fact(
            f"backwatch.volume.{name}.expected",
            f"The {words} that are usual in this minute of the day and week; NaN until {WARM_COUNT} minutes with calls "
            "are known.",
            scope="window",
        ),
    )


class VolumeSpike(Detector):
    """Compares a minute's volume with the resource's usual minute at that time."""

    id = "volume-spike"
    derives = (
        *(fact for name, (_, words) in MEASURES.items() for fact in _facts_of(name, words)),
        derived_fact(
            "backwatch.site.first_run",
            "1 in the first run of the call's site, by file and function: until it pauses for an hour, at most a day. "
            "Only where the resource was known for a day before; pages, which have a route, have none.",
        ),
        derived_fact(
            "backwatch.volume.drift",
            "Ratio of the last thousand minutes to what was usual for long, in the minute in which it has come to 1.5 "
            "or more: the greatest of bytes received, bytes sent, rows and calls.",
            scope="window",
        ),
    )
    tables = (
        *(Table(f"volume_spike_{name}", RESOURCE, 2, SERIES) for name in MEASURES),
        Table("volume_spike_first_runs", RESOURCE, 1, FIRST_RUNS),
        Table("volume_spike_first_calls", SITE, 1, FIRST_CALL),
    )  # fmt: skip

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  code is known from its first call on, even if that fails
    ) -> dict[str, Array]:
        """Compute whether each call is of a first run."""
        first_run = np.zeros(calls.count)
        is_job = calls[SITE_REPORTED] & (calls[names.HTTP_ROUTE] == 0)
        find_first_runs(
            is_job, calls["late"], calls["time_ns"], slot[RESOURCE.name], slot[SITE.name],
            tables["volume_spike_first_runs"], tables["volume_spike_first_calls"],
            (calls[names.BYTES_RECEIVED], calls[names.BYTES_SENT], calls[names.ROWS_RETURNED]), first_run,
        )  # fmt: skip
        return {"backwatch.site.first_run": first_run}

    def window(self, closed: ClosedWindows, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        count = closed.slot.shape[0]
        drift = np.full(count, np.nan)
        facts: dict[str, Array] = {}
        first_runs = tables["volume_spike_first_runs"]
        for measure, (name, (column, _)) in enumerate(MEASURES.items()):
            per_month, expected = np.full(count, np.nan), np.full(count, np.nan)
            rows = tables[f"volume_spike_{name}"]
            _judge(
                closed[column], closed["suspects"], closed.slot, closed.end_ns, rows, first_runs, measure,
                per_month, expected, drift,
            )  # fmt: skip
            facts[f"backwatch.volume.{name}.per_month"] = per_month
            facts[f"backwatch.volume.{name}.expected"] = expected
        return {**facts, "backwatch.volume.drift": drift}

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  version 1 is the only older one
        """Keep level and spread of rows of version 1; the season and the last values start anew."""
        usual = np.expm1(rows["level"].astype(np.float64))
        spread = np.maximum(rows["spread"], 0.05)
        fresh = np.zeros(rows.shape, table.dtype)
        fresh["count"] = np.where(rows["count"] >= WARM_COUNT, WARM_COUNT, 0)
        fresh["unit"] = np.where(usual > 0, usual, 1.0)
        fresh["level"] = np.arcsinh(np.where(usual > 0, 1.0, 0.0))
        fresh["reference"] = fresh["level"]
        fresh["rise_mean"] = fresh["level"][..., np.newaxis]
        for name in ("rise_high", "rise_waiting", "rise_lately"):
            fresh[name] = UNSEEN
        for name, spreads in (("quantile", QUANTILE_SPREADS), ("high", HIGH_SPREADS), ("excess", EXCESS_SPREADS)):
            fresh[name] = np.repeat(spreads * spread, STATISTICS).reshape(*rows.shape, STATISTICS)
        fresh[fresh["count"] == 0] = np.zeros(1, table.dtype)
        return fresh
