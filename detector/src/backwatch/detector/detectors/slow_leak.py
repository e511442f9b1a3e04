"""Statements that give out more in ten minutes, an hour, a day or a week than they ever did."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.budget import (
    BUDGET,
    PERIOD_TENS,
    UNIT_BYTES,
    add,
    advance,
    count_beyond,
    find_exceeded,
    highest_units,
    total_units,
    weigh,
)
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, SITE_STATEMENT
from backwatch.detector.state.tables import Rows, Table

MIN_RESOURCE_DAYS: Final = 4
"""Days before the sum over all statements is judged: so long each of them still finds its own highest."""


@kernel
def _report(row: Any, period: int, out: Array, i: int) -> None:
    out[0, i] = PERIOD_TENS[period] * 10
    out[1, i] = round(total_units(row, period)) * UNIT_BYTES
    out[2, i] = round(highest_units(row, period)) * UNIT_BYTES


@kernel
def _follow(
    volumes: tuple[Array, Array, Array], system: tuple[Array, Array], skipped: tuple[Array, Array], time_ns: Array,
    slot: tuple[Array, Array], tables: tuple[Any, Any], out: tuple[Array, Array],
) -> None:  # fmt: skip
    row_count, received, sent = volumes
    database, messaging = system
    late, error = skipped
    resource, statement = slot
    wholes, rows = tables
    for i in range(resource.shape[0]):
        if resource[i] == 0 or late[i] or error[i]:
            continue
        whole = wholes[resource[i]]
        advance(whole, time_ns[i])
        beyond = 0
        if statement[i] != 0:
            row = rows[statement[i]]
            advance(row, time_ns[i])
            read = -1 if messaging[i] else received[i]  # a consumer that catches up takes nothing out of a store
            units = weigh(-1 if messaging[i] else row_count[i], read if database[i] else max(read, sent[i]))
            add(row, units)
            period = find_exceeded(row, whole)
            if period >= 0:
                _report(row, period, out[0], i)
            beyond = count_beyond(row, whole, units)
        add(whole, beyond)
        if whole["days"] >= MIN_RESOURCE_DAYS:
            period = find_exceeded(whole, whole)
            if period >= 0:
                _report(whole, period, out[1], i)


class SlowLeak(Detector):
    """Compares running totals of a statement at its call site, and of its resource, with those of past periods."""

    id = "slow-leak"
    derives = (
        derived_fact(
            "backwatch.leak.minutes",
            "Minutes of the period (10, 60, 1440, 10080) in which this call carried what its statement reads or sends "
            "here beyond anything that is usual; NaN otherwise.",
        ),
        derived_fact(
            "backwatch.leak.bytes",
            "Bytes that the statement read or sent here in that period so far; a row counts as 2500 bytes at least.",
        ),
        derived_fact("backwatch.leak.expected", "The highest such total of past periods, in bytes."),
        derived_fact(
            "backwatch.leak.total.minutes",
            "Minutes of the period (10, 60, 1440, 10080) in which this call carried the resource's statements together "
            "beyond anything that is usual: counted is what each gave out beyond its own highest hour; NaN otherwise.",
        ),
        derived_fact("backwatch.leak.total.bytes", "Bytes beyond the highest hours in that period so far."),
        derived_fact("backwatch.leak.total.expected", "The highest such total of past periods, in bytes."),
    )
    tables = (Table("slow_leak", SITE_STATEMENT, 1, BUDGET), Table("slow_leak_resource", RESOURCE, 1, BUDGET))

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  a total holds every call, and teaches no more than its limit
    ) -> dict[str, Array]:
        """Return the facts of ``derives``."""
        found = np.full((3, calls.count), np.nan), np.full((3, calls.count), np.nan)
        _follow(
            (calls[names.ROWS_RETURNED], calls[names.BYTES_RECEIVED], calls[names.BYTES_SENT]),
            (calls[names.DB_SYSTEM] != 0, calls[names.MESSAGING_SYSTEM] != 0),
            (calls["late"], calls["error"]), calls["time_ns"], (slot[RESOURCE.name], slot[SITE_STATEMENT.name]),
            (tables["slow_leak_resource"], tables["slow_leak"]), found,
        )  # fmt: skip
        return dict(zip(self.provides, (*found[0], *found[1]), strict=True))
