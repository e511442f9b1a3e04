"""Sessions in an older TLS version than the resource uses."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, day_of, has_lapsed
from backwatch.detector.derived.text_columns import TLS_RANK
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: all servers behind one name, old and new, are seen within it."""

LEAST = np.dtype([
    ("rank", "u1"), ("calls", "u1"), ("since_ns", "<i8"), ("last_ns", "<i8"), ("candidate", "u1"),
    ("candidate_ns", "<i8"), ("day", "<u2"),
])  # fmt: skip
"""The oldest known version of the resource, and when it was last used; the candidate to replace it, since when, and the
day of its last use. 29 bytes."""


@kernel
def _learn(row: Any, rank: int, time_ns: int) -> None:
    if row["calls"] == 0:
        row["since_ns"] = time_ns
    if row["calls"] == 0 or rank < row["rank"]:
        row["rank"] = rank
    if rank == row["rank"]:
        row["last_ns"] = time_ns
    row["calls"] = min(row["calls"] + 1, MIN_CALLS)


@kernel
def _keep(row: Any, rank: int, time_ns: int) -> None:
    """Count a quiet call. A week without the oldest version forgets it; a week of an older one makes that usual."""
    if rank < row["rank"]:
        if row["candidate"] != rank or has_lapsed(row["day"], time_ns):
            row["candidate"], row["candidate_ns"] = rank, time_ns
        elif time_ns - row["candidate_ns"] >= LEARN_AFTER_NS:
            row["rank"], row["last_ns"] = rank, time_ns
        row["day"] = day_of(time_ns)
    elif rank == row["rank"] or time_ns - row["last_ns"] >= LEARN_AFTER_NS:
        row["rank"], row["last_ns"] = rank, time_ns


@kernel
def _judge(rank: Array, time_ns: Array, resource: Array, learn: Array, rows: Any, lowered: Array) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0 or rank[i] < 0:
            continue
        row = rows[k]
        if row["calls"] < MIN_CALLS or time_ns[i] - row["since_ns"] < SETTLES_AFTER_NS:
            if learn[i]:
                _learn(row, rank[i], time_ns[i])
            continue
        lowered[i] = rank[i] < row["rank"]
        if learn[i]:
            _keep(row, rank[i], time_ns[i])


class TlsLowered(Detector):
    """Compares a session's TLS version with the oldest that its resource used in the last week."""

    id = "tls-lowered"
    derives = (
        derived_fact(
            "backwatch.tls.lowered",
            "1 where the session's TLS version is older than any that its resource used in the last week, at a "
            "resource whose versions are known.",
        ),
    )
    identity_changes = ("backwatch.tls.lowered",)
    tables = (Table("tls_lowered", RESOURCE, 1, LEAST),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        lowered = np.zeros(calls.count, np.int8)
        _judge(
            calls[TLS_RANK], calls["time_ns"], slot[RESOURCE.name], learn, tables["tls_lowered"], lowered,
        )  # fmt: skip
        return {"backwatch.tls.lowered": lowered}
