"""Sessions in an older TLS than a resource speaks."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, broke_off, day_of
from backwatch.detector.derived.text_columns import TLS_RANK
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: what stands before one name, old and new, is met within it."""

LEAST = np.dtype([
    ("rank", "u1"), ("calls", "u1"), ("since_ns", "<i8"), ("last_ns", "<i8"), ("candidate", "u1"),
    ("candidate_ns", "<i8"), ("day", "<u2"),
])  # fmt: skip
"""The oldest version that the resource is known by, and when it was last spoken; what may become so, since when, and
the day on which it was last. 29 bytes."""


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
    """A quiet call: a week without the oldest version forgets it, a week of an older one makes that the usual."""
    if rank < row["rank"]:
        if row["candidate"] != rank or broke_off(row["day"], time_ns):
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
    """Tells whether a session is in an older version of TLS than its resource is known by.

    Provides:
        ``backwatch.tls.lowered``: 1 where the session's version is older than any that its resource spoke in the last
            week, at a resource whose versions are known.
    """

    id = "tls-lowered"
    provides = ("backwatch.tls.lowered",)
    identity_changes = ("backwatch.tls.lowered",)
    tables = (Table("tls_lowered", RESOURCE, 1, LEAST),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        lowered = np.zeros(calls.count, np.int8)
        _judge(
            calls[TLS_RANK], calls["time_ns"], slot[RESOURCE.name], learn, tables["tls_lowered"], lowered,
        )  # fmt: skip
        return {"backwatch.tls.lowered": lowered}
