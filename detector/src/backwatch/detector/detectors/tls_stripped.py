"""Sessions without the encryption that was requested, or that the resource used before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, day_of, has_lapsed
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

MAX_PLAIN_SHARE: Final = 0.02
"""Share of plaintext calls during learning above which a resource counts as used both ways."""
PLAIN_BY_NATURE_CALLS: Final = 3
"""Plaintext calls after which a never-encrypted statement is plaintext by design, such as those before STARTTLS."""

HISTORY = np.dtype([("encrypted", "<u4"), ("plain", "<u4"), ("plain_since_ns", "<i8"), ("plain_day", "<u2")])
NATURE = np.dtype([("encrypted", "u1"), ("plain", "u1")])


@kernel
def _learn_plain(row: Any, nature: Any, known: bool, settled: Any, time_ns: int) -> None:
    """Learn from a quiet plaintext call whose statement is not plaintext by design."""
    if not settled:
        row["plain"] = min(row["plain"] + 1, 1_000_000_000)
        if known:
            nature["plain"] = min(nature["plain"] + 1, 255)
            if nature["encrypted"] == 0 and nature["plain"] == PLAIN_BY_NATURE_CALLS:
                row["plain"] = max(row["plain"] - PLAIN_BY_NATURE_CALLS - 1, 0)  # the first sighting had no row
        return
    if row["plain_since_ns"] == 0 or has_lapsed(row["plain_day"], time_ns):
        row["plain_since_ns"] = time_ns
    elif time_ns - row["plain_since_ns"] >= LEARN_AFTER_NS:
        # After a week with the alert open, the resource counts as plaintext, and plaintext-session reports it.
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
        settled = row["encrypted"] >= MIN_CALLS and row["plain"] <= MAX_PLAIN_SHARE * row["encrypted"]
        if established[i] != 0:
            if learn[i]:
                row["encrypted"] = min(row["encrypted"] + 1, 1_000_000_000)
                if known:
                    nature["encrypted"] = min(nature["encrypted"] + 1, 255)
        elif not (known and nature["encrypted"] == 0 and nature["plain"] >= PLAIN_BY_NATURE_CALLS):
            had_before[i] = settled
            if learn[i]:
                _learn_plain(row, nature, known, settled, time_ns[i])


class TlsStripped(Detector):
    """Remembers whether a resource's sessions were encrypted."""

    id = "tls-stripped"
    derives = (
        derived_fact(
            "backwatch.tls.had_before",
            "1 on a plaintext call to a resource whose sessions were encrypted, with few exceptions; not on "
            "statements that are plaintext by design, such as those before STARTTLS.",
        ),
    )
    tables = (Table("tls_stripped", RESOURCE, 1, HISTORY), Table("tls_stripped_nature", STATEMENT, 1, NATURE))

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        had_before = np.zeros(calls.count, np.int8)
        _judge(
            calls[names.TLS_ESTABLISHED], calls["time_ns"], slot[RESOURCE.name], slot[STATEMENT.name], learn,
            tables["tls_stripped"], tables["tls_stripped_nature"], had_before,
        )  # fmt: skip
        return {"backwatch.tls.had_before": had_before}
