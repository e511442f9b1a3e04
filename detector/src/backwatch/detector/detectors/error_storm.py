"""Calls that fail in a row at a resource that used to respond.

A resource that failed and came back on several days has a **usual outage**: a nightly restart, a fail-over. One that
lasts up to 1.5 times as long is no news. Failures within an hour after an outage belong to it: a single response is no
recovery. Outages of more than five minutes never become usual.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import MIN_CALLS
from backwatch.detector.derived.numbers import SERVICE_FAULT, SERVICE_PAUSED
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

RECENT_NS: Final = 60 * 1_000_000_000
"""One minute: decay time of a recent failure."""
USUAL_NS: Final = 7 * 86_400 * 1_000_000_000
"""One week: decay time of the usual share, so that a resource with two calls an hour is known, too."""
MAX_USUAL_STREAK: Final = 3
"""Failures in a row from which on they no longer count as usual: a storm must not raise its own baseline."""
PAUSE_NS: Final = 300 * 1_000_000_000
"""Five minutes: what a restart, a fail-over or a burst of load may take, if the service reports it by its own error."""
NEXT_PAUSE_NS: Final = 3_600 * 1_000_000_000
"""One hour, after which the next one may begin. Failures before it belong to the last one."""
OUTAGE_FAULTS: Final = 8
"""Failures in a row that are an outage, as the rule counts them."""
USUAL_OUTAGES: Final = 1.5
"""Past outages, faded, from which on their length is usual: two within a month and a half."""
COUNTED_AFTER_NS: Final = 20 * NEXT_PAUSE_NS
"""Twenty hours, after which another outage counts: one a day, also where it begins a little earlier than the last."""
OUTAGE_FADING_NS: Final = 60 * 86_400 * 1_000_000_000
USUAL_LENGTHS: Final = 1.5
"""Maximum length of a new outage, as a multiple of the longest usual one, which it does not raise."""

SERVED = np.dtype([
    ("recent", "<f8"), ("recent_calls", "<f8"), ("usual", "<f8"), ("usual_calls", "<f8"), ("streak", "<u4"),
    ("last_ns", "<i8"), ("paused_ns", "<i8"), ("begun_ns", "<i8"), ("fault_ns", "<i8"), ("ended_ns", "<i8"),
    ("longest_ns", "<f4"), ("outages", "<f4"), ("run", "<u4"), ("outage_ns", "<i8"), ("counted_ns", "<i8"),
])  # fmt: skip


@kernel
def _begin_fault(row: Any, time_ns: int) -> None:
    """Count a fault of the present run, and note when the run and its outage began."""
    if row["run"] == 0:
        if time_ns - row["ended_ns"] >= NEXT_PAUSE_NS:
            row["outage_ns"] = time_ns
        row["begun_ns"] = time_ns
        row["fault_ns"] = time_ns
    row["begun_ns"] = min(row["begun_ns"], time_ns)
    row["fault_ns"] = max(row["fault_ns"], time_ns)
    row["run"] = min(row["run"] + 1, 1_000_000)


@kernel
def _end_run(row: Any, time_ns: int) -> None:
    """End the present run at a response; an outage that was short enough becomes usual."""
    if row["run"] >= OUTAGE_FAULTS:
        length_ns = float(row["fault_ns"] - row["outage_ns"])
        faded = _fade_outages(row, time_ns)
        row["outages"] *= faded
        if row["outages"] < USUAL_OUTAGES:
            row["longest_ns"] *= faded
        if length_ns <= PAUSE_NS:
            # An outage that was excused for being near the longest does not raise it: else they grow without an alert.
            if row["outages"] < USUAL_OUTAGES or length_ns > USUAL_LENGTHS * row["longest_ns"]:
                row["longest_ns"] = max(row["longest_ns"], length_ns)
            if time_ns - row["counted_ns"] >= COUNTED_AFTER_NS:
                row["outages"] += 1.0
                row["counted_ns"] = time_ns
        row["ended_ns"] = max(row["ended_ns"], time_ns)
    row["run"] = 0


@kernel
def _fade_outages(row: Any, time_ns: int) -> float:
    return math.exp(-float(max(time_ns - row["ended_ns"], 0)) / OUTAGE_FADING_NS)


@kernel
def _is_usual_outage(row: Any, time_ns: int) -> bool:
    """Return whether the present outage is about as short as this resource's usual ones."""
    if row["outages"] * _fade_outages(row, time_ns) < USUAL_OUTAGES:
        return False
    return time_ns - row["outage_ns"] <= USUAL_LENGTHS * row["longest_ns"]


@kernel
def _judge(
    fault: Array, paused: Array, error: Array, late: Array, asked: Array, time_ns: Array, resource: Array, rows: Any,
    streak: Array, share: Array, usual: Array,
) -> None:  # fmt: skip
    for i in range(resource.shape[0]):
        if resource[i] == 0 or late[i]:
            continue
        row = rows[resource[i]]
        gone = float(max(time_ns[i] - row["last_ns"], 0)) if row["last_ns"] else 0.0
        lately, daily = np.exp(-gone / RECENT_NS), np.exp(-gone / USUAL_NS)
        failed = 1.0 if fault[i] else 0.0
        if fault[i]:
            _begin_fault(row, time_ns[i])
        # Another process may have met the outage a moment before the service reported it.
        begins = row["streak"] == 0 or (row["streak"] < OUTAGE_FAULTS and time_ns[i] - row["begun_ns"] <= RECENT_NS)
        if paused[i] and begins and time_ns[i] - row["paused_ns"] > NEXT_PAUSE_NS:
            row["paused_ns"] = time_ns[i]
        pauses = time_ns[i] - row["paused_ns"] <= PAUSE_NS or (fault[i] and _is_usual_outage(row, time_ns[i]))
        if fault[i]:
            if pauses:
                row["streak"] = 0
            else:
                row["streak"] = min(row["streak"] + 1, 1_000_000) if gone <= RECENT_NS else 1
            streak[i] = row["streak"]
            if row["usual_calls"] >= MIN_CALLS:
                usual[i] = row["usual"] / row["usual_calls"]
        elif not error[i] and asked[i]:
            row["streak"] = 0  # a login alone is no response
            _end_run(row, time_ns[i])
        row["recent"] = row["recent"] * lately + failed
        row["recent_calls"] = row["recent_calls"] * lately + 1.0
        if fault[i]:
            share[i] = row["recent"] / row["recent_calls"]
        if row["streak"] < MAX_USUAL_STREAK and not (fault[i] and pauses):
            row["usual"] = row["usual"] * daily + failed
            row["usual_calls"] = row["usual_calls"] * daily + 1.0
        row["last_ns"] = max(time_ns[i], row["last_ns"])


class ErrorStorm(Detector):
    """Counts failed calls in a row, and compares their share with the usual one."""

    id = "error-storm"
    derives = (
        derived_fact(
            "backwatch.errors.streak",
            "Calls in a row that failed by the service or on the way to it, including this one; 0 where this call did "
            "not, for five minutes after the service itself reported that it restarts or is overloaded, and for 1.5 "
            "times as long as the resource's past outages lasted.",
        ),
        derived_fact(
            "backwatch.errors.share",
            "Share of the resource's calls in about the last minute that failed by the service or on the way to "
            "it; 0 where this call did not.",
        ),
        derived_fact(
            "backwatch.errors.usual",
            "Share of the resource's calls in about the last week that failed by the service or on the way to "
            "it; NaN where this call did not, and until 30 calls are known.",
        ),
    )
    tables = (Table("error_storm", RESOURCE, 2, SERVED),)

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  it counts failed calls, which are never learnt from
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        streak, share, usual = np.zeros(calls.count), np.zeros(calls.count), np.full(calls.count, np.nan)
        asked = calls["fingerprint"] != 0
        _judge(
            calls[SERVICE_FAULT], calls[SERVICE_PAUSED], calls["error"], calls["late"], asked, calls["time_ns"],
            slot[RESOURCE.name], tables["error_storm"], streak, share, usual,
        )  # fmt: skip
        return {
            "backwatch.errors.streak": streak, "backwatch.errors.share": share, "backwatch.errors.usual": usual,
        }  # fmt: skip

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  version 1 is the only older one
        """Keep rows of version 1, which know no outages."""
        fresh = np.zeros(rows.shape, table.dtype)
        for name in rows.dtype.names or ():
            fresh[name] = rows[name]
        return fresh
