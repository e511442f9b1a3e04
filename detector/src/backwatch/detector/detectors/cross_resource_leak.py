"""Large reads from a database followed, in the same trace, by an unusually large send to another service."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.collector.runtime.bounds import Bound
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.state.keys import RESOURCE, SITE
from backwatch.detector.state.tables import Rows, Table

MAX_KEPT_READS: Final = 32
"""Traces with large reads that are kept of one resource: the newest take the place of the oldest."""
BOUNDS: Final = (
    Bound(
        "traces with large reads, per resource", MAX_KEPT_READS, "traces",
        "the oldest makes room: what it sends later is not held against its read",
    ),
)  # fmt: skip
MIN_ROWS: Final = 100
MIN_READ_BYTES: Final = 65_536
"""Rows or bytes of a call from which on it counts as a large read."""
MIN_SENT_BYTES: Final = 16_384
"""Bytes of a call from which on it is compared with what its trace read."""
MIN_SENDS: Final = 100
"""Quiet calls of a call site before its largest send is meaningful."""
_STEPS: Final = 1_024.0
_MAX_U4: Final = 4_000_000_000

READS: Final = np.dtype([
    ("trace", "<u4", (MAX_KEPT_READS,)), ("rows", "<u4", (MAX_KEPT_READS,)), ("bytes", "<u4", (MAX_KEPT_READS,)),
    ("next", "u1"),
])  # fmt: skip
SENDS: Final = np.dtype([("largest", "<u2"), ("calls", "<u2")])
"""The largest send of a call site, as binary logarithm, and its quiet calls up to 60,000."""


@kernel
def _keep_read(row: Any, trace: np.uint32, rows: int, size_bytes: int) -> None:
    """Add a read to those of its trace."""
    at = -1
    for k in range(MAX_KEPT_READS):
        if row["trace"][k] == trace:
            at = k
    if at < 0:
        at = np.int64(row["next"])
        row["next"] = (at + 1) % MAX_KEPT_READS
        row["trace"][at], row["rows"][at], row["bytes"][at] = trace, 0, 0
    row["rows"][at] = min(np.int64(row["rows"][at]) + max(rows, 0), _MAX_U4)
    row["bytes"][at] = min(np.int64(row["bytes"][at]) + max(size_bytes, 0), _MAX_U4)


@kernel
def _sum_reads(reads: Any, trace: np.uint32, sent_from: int, out: Array, i: int) -> None:
    """Write the rows and bytes that this trace read from all resources but one."""
    for k in range(1, reads.shape[0]):
        if k == sent_from or reads[k]["trace"][0] == 0:
            continue
        for j in range(MAX_KEPT_READS):
            if reads[k]["trace"][j] == trace:
                out[0, i] += reads[k]["rows"][j]
                out[1, i] += reads[k]["bytes"][j]


@kernel
def _follow(
    trace: Array, volumes: tuple[Array, Array, Array], flags: tuple[Array, Array, Array], slot: tuple[Array, Array],
    tables: tuple[Any, Any], out: Array,
) -> None:  # fmt: skip
    rows, received, sent = volumes
    database, late, learn = flags
    resource, site = slot
    reads, sends = tables
    for i in range(resource.shape[0]):
        if resource[i] == 0 or late[i]:
            continue
        if database[i]:
            if trace[i] != 0 and (rows[i] >= MIN_ROWS or received[i] >= MIN_READ_BYTES):
                _keep_read(reads[resource[i]], np.uint32(trace[i]), rows[i], received[i])
            continue
        if sent[i] < 0 or site[i] == 0:
            continue
        send = sends[site[i]]
        if sent[i] >= MIN_SENT_BYTES and trace[i] != 0:
            out[0, i] = out[1, i] = 0.0
            _sum_reads(reads, np.uint32(trace[i]), resource[i], out, i)
        if send["calls"] >= MIN_SENDS:
            out[2, i] = sent[i] / (2.0 ** (send["largest"] / _STEPS) - 1.0 + 1.0)
        if learn[i]:
            send["calls"] = min(np.int64(send["calls"]) + 1, 60_000)
            send["largest"] = max(np.int64(send["largest"]), np.int64(math.log2(1.0 + sent[i]) * _STEPS))


@kernel
def _tag(trace: Array, app: Array, out: Array) -> None:
    for i in range(trace.shape[0]):
        if trace[i] != 0:
            out[i] = np.uint32(mix(trace[i], app[i]) >> np.uint64(32)) | np.uint32(1)


class CrossResourceLeak(Detector):
    """Holds what a call sends against what its trace read before, and against the largest send of its call site."""

    id = "cross-resource-leak"
    derives = (
        derived_fact(
            "backwatch.trace.rows_read",
            "Rows that the call's trace read from databases before, in calls of 100 rows or 64 KiB and more.",
        ),
        derived_fact("backwatch.trace.bytes_read", "Bytes that the call's trace read from databases before, likewise."),
        derived_fact(
            "backwatch.sent.ratio",
            "Bytes sent, divided by the most that a quiet call of this call site sent; NaN until 100 are known.",
        ),
    )
    tables = (
        Table("cross_resource_leak_reads", RESOURCE, 1, READS), Table("cross_resource_leak_sends", SITE, 1, SENDS),
    )  # fmt: skip

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Return the facts of ``derives``."""
        found, tag = np.full((3, calls.count), np.nan), np.zeros(calls.count, np.uint32)
        _tag(calls["trace"], calls[names.SERVICE_NAME], tag)
        _follow(
            tag, (calls[names.ROWS_RETURNED], calls[names.BYTES_RECEIVED], calls[names.BYTES_SENT]),
            (calls[names.DB_SYSTEM] != 0, calls["late"], learn), (slot[RESOURCE.name], slot[SITE.name]),
            (tables["cross_resource_leak_reads"], tables["cross_resource_leak_sends"]), found,
        )  # fmt: skip
        return dict(zip(self.provides, found, strict=True))
