"""Sessions without the encryption that was asked for, or that the resource had before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, broke_off, day_of
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

BOTH_WAYS: Final = 0.02
"""Share of plaintext calls, while a resource is being learnt, above which it is one that is used both ways."""
BY_NATURE: Final = 3
"""Plaintext calls after which a statement that never was encrypted is so by nature: what precedes STARTTLS."""

HISTORY = np.dtype([("encrypted", "<u4"), ("plain", "<u4"), ("plain_since_ns", "<i8"), ("plain_day", "<u2")])
NATURE = np.dtype([("encrypted", "u1"), ("plain", "u1")])


@kernel
def _learn_plain(row: Any, nature: Any, known: bool, settled: Any, time_ns: int) -> None:
    """A quiet plaintext call, not one that is so by nature."""
    if not settled:
        row["plain"] = min(row["plain"] + 1, 1_000_000_000)
        if known:
            nature["plain"] = min(nature["plain"] + 1, 255)
            if nature["encrypted"] == 0 and nature["plain"] == BY_NATURE:
                row["plain"] = max(row["plain"] - BY_NATURE - 1, 0)  # its first sighting had no row of its own
        return
    if row["plain_since_ns"] == 0 or broke_off(row["plain_day"], time_ns):
        row["plain_since_ns"] = time_ns
    elif time_ns - row["plain_since_ns"] >= LEARN_AFTER_NS:
        # A week of it, with the alert open: the resource is plaintext now, and plaintext-session goes on saying so.
        row["encrypted"] = 0
        row["plain_since_ns"] = 0
    row["plain_day"] = day_of(time_ns)


@kernel
def _judge(
    established: Array,
    time_ns: Array,
    resource: Array,
    statement: Array,
    learn: Array,
    rows: Any,
    natures: Any,
    had_before: Array,
) -> None:
    for i in range(resource.shape[0]):
        if resource[i] == 0 or established[i] < 0:
            continue
        row, nature = rows[resource[i]], natures[statement[i]]
        known = statement[i] != 0
        settled = row["encrypted"] >= MIN_CALLS and row["plain"] <= BOTH_WAYS * row["encrypted"]
        if established[i] != 0:
            if learn[i]:
                row["encrypted"] = min(row["encrypted"] + 1, 1_000_000_000)
                if known:
                    nature["encrypted"] = min(nature["encrypted"] + 1, 255)
        elif not (known and nature["encrypted"] == 0 and nature["plain"] >= BY_NATURE):
            had_before[i] = settled
            if learn[i]:
                _learn_plain(row, nature, known, settled, time_ns[i])


class TlsStripped(Detector):
    """Tells whether a resource's sessions were encrypted before.

    Provides:
        ``backwatch.tls.had_before``: 1 on a plaintext call to a resource whose sessions were encrypted, all but a
        few; not on what is plaintext by nature, as the greeting before STARTTLS is.
    """

    id = "tls-stripped"
    provides = ("backwatch.tls.had_before",)
    tables = (Table("tls_stripped", RESOURCE, 1, HISTORY), Table("tls_stripped_nature", STATEMENT, 1, NATURE))

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        had_before = np.zeros(calls.count, np.int8)
        _judge(
            calls[names.TLS_ESTABLISHED], calls["time_ns"], slot[RESOURCE.name], slot[STATEMENT.name], learn,
            tables["tls_stripped"], tables["tls_stripped_nature"], had_before,
        )  # fmt: skip
        return {"backwatch.tls.had_before": had_before}
