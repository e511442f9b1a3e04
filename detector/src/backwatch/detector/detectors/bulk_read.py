"""Calls that read far more than their statement ever did, or than any call to the resource."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.level import BOUND, LEVEL, update
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

MIN_CALLS: Final = 100
"""Quiet calls to a resource before its largest answer means something."""
_DAY_NS: Final = 86_400 * 1_000_000_000
FORGETS: Final = 0.05
"""By how much (on the log scale) the largest answer is forgotten a day: it halves in two weeks."""
RAISES: Final = float(np.log(1.5))
"""By how much it is raised a day at most, once it means something: else one theft would hide the next, larger one."""
ASKED: Final = 1.6
"""The excess that the rule asks for."""
TEACHES: Final = ASKED / 2
"""The excess from which on a statement without a history teaches nothing."""
LITTLE_ROWS: Final = float(np.log1p(2_000)) - ASKED
LITTLE_BYTES: Final = float(np.log1p(1_048_576)) - ASKED
"""Up to these the largest may be raised at once: what the rule calls much is by so much more in any case."""

LARGEST = np.dtype([("rows", "<f4"), ("bytes", "<f4"), ("rows_ns", "<i8"), ("bytes_ns", "<i8"), ("calls", "<u4")])


@kernel
def _against_statement(value: Array, statement: Array, time_ns: Array, learn: Array, rows: Any, score: Array) -> None:
    for i in range(value.shape[0]):
        if value[i] < 0 or statement[i] == 0:
            continue
        score[i] = update(rows, statement[i], np.log1p(value[i]), time_ns[i], learn[i])


@kernel
def _faded(largest: float, since_ns: int, time_ns: int) -> float:
    return max(0.0, float(largest) - FORGETS * max(time_ns - since_ns, 0) / _DAY_NS)


@kernel
def _raised(most: float, since_ns: int, x: float, time_ns: int, little: float, young: bool, has_history: bool) -> float:
    """The largest answer, once this one was seen; less than ``most``: it teaches nothing."""
    if x < most or young or x <= little:
        return x
    begin = max(most, little)
    if not has_history and x - begin >= TEACHES:
        return -1.0
    days = min(max(time_ns - since_ns, 0) / _DAY_NS, 1.0)
    return min(x, begin + RAISES * days)


@kernel
def _against_resource(
    row_count: Array,
    byte_count: Array,
    row_score: Array,
    byte_score: Array,
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
        most_rows = _faded(row["rows"], row["rows_ns"], time_ns[i])
        most_bytes = _faded(row["bytes"], row["bytes_ns"], time_ns[i])
        x, y = np.log1p(max(row_count[i], 0)), np.log1p(max(byte_count[i], 0))
        young = row["calls"] < MIN_CALLS
        if not young:
            row_excess[i] = x - most_rows if row_count[i] >= 0 else np.nan
            byte_excess[i] = y - most_bytes if byte_count[i] >= 0 else np.nan
        if learn[i] and not (row_score[i] >= BOUND or byte_score[i] >= BOUND):
            row["calls"] = min(row["calls"] + 1, 1_000_000_000)
            largest = _raised(most_rows, row["rows_ns"], x, time_ns[i], LITTLE_ROWS, young, not np.isnan(row_score[i]))
            if largest >= most_rows:
                row["rows"], row["rows_ns"] = largest, time_ns[i]
            largest = _raised(
                most_bytes, row["bytes_ns"], y, time_ns[i], LITTLE_BYTES, young, not np.isnan(byte_score[i])
            )
            if largest >= most_bytes:
                row["bytes"], row["bytes_ns"] = largest, time_ns[i]


class BulkRead(Detector):
    """Tells how much more a call returned than is usual.

    Provides:
        ``backwatch.rows.score``: Deviations of the rows that came back above the statement's usual ones
            (``baselines/level.py``); NaN until those are known.
        ``backwatch.bytes.score``: Deviations of the bytes received above the statement's usual ones
            (``baselines/level.py``); NaN until those are known.
        ``backwatch.rows.excess``: Logarithm of how many times the rows of the resource's largest answer so far came
            back; NaN until 100 calls are known.
        ``backwatch.bytes.excess``: Logarithm of how many times the bytes of the resource's largest answer so far were
            received; NaN until 100 calls are known.
    """

    id = "bulk-read"
    provides = ("backwatch.rows.score", "backwatch.bytes.score", "backwatch.rows.excess", "backwatch.bytes.excess")
    tables = (
        Table("bulk_read_rows", STATEMENT, 1, LEVEL), Table("bulk_read_bytes", STATEMENT, 1, LEVEL),
        Table("bulk_read", RESOURCE, 1, LARGEST),
    )  # fmt: skip

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        found = [np.full(calls.count, np.nan) for _ in self.provides]
        rows, received, time_ns = calls[names.ROWS_RETURNED], calls[names.BYTES_RECEIVED], calls["time_ns"]
        _against_statement(rows, slot[STATEMENT.name], time_ns, learn, tables["bulk_read_rows"], found[0])
        _against_statement(received, slot[STATEMENT.name], time_ns, learn, tables["bulk_read_bytes"], found[1])
        _against_resource(
            rows,
            received,
            found[0],
            found[1],
            slot[RESOURCE.name],
            time_ns,
            learn,
            tables["bulk_read"],
            found[2],
            found[3],
        )
        return dict(zip(self.provides, found, strict=True))
