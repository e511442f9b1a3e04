"""Calls that read far more than their statement or any call to the resource did before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.level import LEVEL, SCORE_BOUND, migrate_levels, update_daily
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, SITE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

MIN_CALLS: Final = 100
"""Quiet calls to a resource before its largest response is meaningful."""
_DAY_NS: Final = 86_400 * 1_000_000_000
FORGETTING_PER_DAY: Final = 0.05
"""Daily decay of the largest response, on the log scale: it halves in two weeks."""
MAX_RISE_PER_DAY: Final = float(np.log(1.5))
"""Maximum daily rise, once it is meaningful: otherwise one theft would hide the next, larger one."""
RULE_EXCESS: Final = 1.6
"""The excess in the rule's condition."""
MAX_TAUGHT_EXCESS: Final = RULE_EXCESS / 2
"""The excess from which on a statement without a history is not learnt."""
INJECTED: Final = 0.5
"""Likelihood of an injection from which on a first run's read is not known later, as in the rule ``query-attack``."""
SMALL_ROWS: Final = float(np.log1p(2_000)) - RULE_EXCESS
SMALL_BYTES: Final = float(np.log1p(1_048_576)) - RULE_EXCESS
"""Limits up to which the largest may rise at once: the rule's minimum amounts are larger by so much anyway."""

FIRST_READS = np.dtype([("rows", "<u2"), ("bytes", "<u2")])
"""The largest reads of a call site's first run, on the log scale in steps: what a new job read is no news from it."""
_LOG_STEPS: Final = 2_048.0
LARGEST = np.dtype([("rows", "<f4"), ("bytes", "<f4"), ("rows_ns", "<i8"), ("bytes_ns", "<i8"), ("calls", "<u4")])


@kernel
def _score_against_statement(
    value: Array, statement: Array, time_ns: Array, learn: Array, rows: Any, score: Array, before: Array
) -> None:
    """Score each value against those of its statement; also write the level that it had before, if any."""
    for i in range(value.shape[0]):
        if value[i] < 0 or statement[i] == 0:
            continue
        if rows[statement[i]]["count"] > 0:
            before[i] = rows[statement[i]]["level"]
        score[i] = update_daily(rows, statement[i], np.log1p(value[i]), time_ns[i], learn[i])


@kernel
def _to_steps(amount: int) -> int:
    return int(min(np.log1p(max(amount, 0)), 31.9) * _LOG_STEPS)


@kernel
def _know_first_reads(
    first_run: Array, row_count: Array, byte_count: Array, site: Array, learn: Array, sites: Any,
    before: tuple[Array, Array],
) -> None:  # fmt: skip
    """Add what call sites read in their first runs to what was returned before."""
    for i in range(site.shape[0]):
        place = sites[site[i]]
        before[0][i] = max(before[0][i], place["rows"] / _LOG_STEPS)
        before[1][i] = max(before[1][i], place["bytes"] / _LOG_STEPS)
        if learn[i] and first_run[i] and site[i] != 0:
            place["rows"] = max(np.int64(place["rows"]), _to_steps(row_count[i]))
            place["bytes"] = max(np.int64(place["bytes"]), _to_steps(byte_count[i]))


@kernel
def _fade(largest: float, since_ns: int, time_ns: int) -> float:
    return max(0.0, float(largest) - FORGETTING_PER_DAY * max(time_ns - since_ns, 0) / _DAY_NS)


@kernel
def _raise_largest(
    most: float, since_ns: int, x: float, time_ns: int, small: float, young: bool, has_history: bool
) -> float:
    """Return the largest response including this one; less than ``most``: it is not learnt."""
    if x < most or young or x <= small:
        return x
    begin = max(most, small)
    if not has_history and x - begin >= MAX_TAUGHT_EXCESS:
        return -1.0
    days = min(max(time_ns - since_ns, 0) / _DAY_NS, 1.0)
    return min(x, begin + MAX_RISE_PER_DAY * days)


@kernel
def _score_against_resource(
    row_count: Array,
    byte_count: Array,
    row_score: Array,
    byte_score: Array,
    before: tuple[Array, Array],
    resource: Array,
    time_ns: Array,
    learn: Array,
    rows: Any,
    row_excess: Array,
    byte_excess: Array,
) -> None:
    for i in range(resource.shape[0]):
        if resource[i] == 0 or (row_count[i] < 0 and byte_count[i] < 0):
            continue
        row = rows[resource[i]]
        most_rows = _fade(row["rows"], row["rows_ns"], time_ns[i])
        most_bytes = _fade(row["bytes"], row["bytes_ns"], time_ns[i])
        x, y = np.log1p(max(row_count[i], 0)), np.log1p(max(byte_count[i], 0))
        young = row["calls"] < MIN_CALLS
        if not young:
            # What a statement returned before is no news: a nightly export has few calls, and a usual size.
            row_excess[i] = x - max(most_rows, before[0][i]) if row_count[i] >= 0 else np.nan
            byte_excess[i] = y - max(most_bytes, before[1][i]) if byte_count[i] >= 0 else np.nan
        if learn[i] and not (row_score[i] >= SCORE_BOUND or byte_score[i] >= SCORE_BOUND):
            row["calls"] = min(row["calls"] + 1, 1_000_000_000)
            has_history = not np.isnan(row_score[i]) or before[0][i] > x - MAX_TAUGHT_EXCESS
            largest = _raise_largest(most_rows, row["rows_ns"], x, time_ns[i], SMALL_ROWS, young, has_history)
            if largest >= most_rows:
                row["rows"], row["rows_ns"] = largest, time_ns[i]
            has_history = not np.isnan(byte_score[i]) or before[1][i] > y - MAX_TAUGHT_EXCESS
            largest = _raise_largest(most_bytes, row["bytes_ns"], y, time_ns[i], SMALL_BYTES, young, has_history)
            if largest >= most_bytes:
                row["bytes"], row["bytes_ns"] = largest, time_ns[i]


class BulkRead(Detector):
    """Compares the rows and bytes of a call with its statement's and its resource's usual ones."""

    id = "bulk-read"
    derives = (
        derived_fact(
            "backwatch.rows.score",
            "Deviations of the returned rows above the statement's usual ones; NaN until those are known.",
        ),
        derived_fact(
            "backwatch.bytes.score",
            "Deviations of the received bytes above the statement's usual ones; NaN until those are known.",
        ),
        derived_fact(
            "backwatch.rows.excess",
            "Logarithm of the returned rows divided by those of the resource's largest response so far, or the "
            "statement's usual ones if those are more; NaN until 100 calls are known.",
        ),
        derived_fact(
            "backwatch.bytes.excess",
            "Logarithm of the received bytes divided by those of the resource's largest response so far, or the "
            "statement's usual ones if those are more; NaN until 100 calls are known.",
        ),
    )
    reads = ("backwatch.site.first_run", "backwatch.query.injection")
    tables = (
        Table("bulk_read_rows", STATEMENT, 2, LEVEL), Table("bulk_read_bytes", STATEMENT, 2, LEVEL),
        Table("bulk_read", RESOURCE, 1, LARGEST), Table("bulk_read_first_reads", SITE, 1, FIRST_READS),
    )  # fmt: skip

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        found = [np.full(calls.count, np.nan) for _ in self.provides]
        rows, received, time_ns = calls[names.ROWS_RETURNED], calls[names.BYTES_RECEIVED], calls["time_ns"]
        before = np.zeros(calls.count), np.zeros(calls.count)
        statement = slot[STATEMENT.name]
        _score_against_statement(rows, statement, time_ns, learn, tables["bulk_read_rows"], found[0], before[0])
        _score_against_statement(received, statement, time_ns, learn, tables["bulk_read_bytes"], found[1], before[1])
        first_run, site = calls["backwatch.site.first_run"], slot[SITE.name]
        honest = learn & ~(calls["backwatch.query.injection"] >= INJECTED)
        _know_first_reads(first_run, rows, received, site, honest, tables["bulk_read_first_reads"], before)
        _score_against_resource(
            rows,
            received,
            found[0],
            found[1],
            before,
            slot[RESOURCE.name],
            time_ns,
            learn,
            tables["bulk_read"],
            found[2],
            found[3],
        )
        return dict(zip(self.provides, found, strict=True))

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  one older version
        """Keep levels of version 1."""
        return migrate_levels(rows)
