"""Calls that take far longer than their statement did before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import MIN_CALLS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import STATEMENT
from backwatch.detector.state.tables import Rows, Table

STEPS_PER_DOUBLING: Final = 6
"""Resolution of the longest duration: 255 steps reach from a microsecond to a month."""
FAR_DOUBLINGS: Final = 3.0
"""Doublings beyond the longest from which on a call raises it by one step only."""

LONGEST = np.dtype([("longest", "u1"), ("calls", "u1")])


@kernel
def _judge(duration_ns: Array, statement: Array, learn: Array, rows: Any, excess: Array) -> None:
    for i in range(statement.shape[0]):
        s = statement[i]
        if s == 0 or duration_ns[i] < 0:
            continue
        row = rows[s]
        now = np.log2(1.0 + duration_ns[i] / 1_000.0)
        beyond = now - row["longest"] / STEPS_PER_DOUBLING
        settled = row["calls"] >= MIN_CALLS
        if settled:
            excess[i] = beyond
        if not learn[i]:
            continue
        if settled and beyond >= FAR_DOUBLINGS:
            row["longest"] = min(row["longest"] + 1, 255)
        elif beyond > 0:
            row["longest"] = min(int(np.ceil(now * STEPS_PER_DOUBLING)), 255)
        if row["calls"] < 255:
            row["calls"] += 1


class SlowResponse(Detector):
    """Compares a call's duration with the longest of its statement."""

    id = "slow-response"
    derives = (
        derived_fact(
            "backwatch.duration.excess",
            "Doublings by which the call took longer than the longest call of its statement so far; NaN until "
            "30 of them are known.",
        ),
    )
    tables = (Table("slow_answer", STATEMENT, 1, LONGEST),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        excess = np.full(calls.count, np.nan)
        _judge(calls["duration_ns"], slot[STATEMENT.name], learn, tables["slow_answer"], excess)
        return {"backwatch.duration.excess": excess}
