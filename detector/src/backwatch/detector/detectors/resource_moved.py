"""Attached resources whose config variable names another endpoint than before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.derived.numbers import PROVEN
from backwatch.detector.detectors import MOVED_AS_DECLARED, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

ENDPOINTS: Final = 4
"""Endpoints that are remembered for a resource: a URL can list several."""
MOVING_NS: Final = 3_600 * 1_000_000_000
"""One hour: a move is over once all workers of the app were restarted with the new variable."""
PORT_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)

MOVE = np.dtype([("endpoint", "<u8", ENDPOINTS), ("next", "<u8"), ("moved_ns", "<i8")])


@kernel
def _judge(
    name: Array, address: Array, port: Array, time_ns: Array, resource: Array, learn: Array, rows: Any, moved: Array
) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0 or name[i] == 0 or address[i] == 0:
            continue
        row = rows[k]
        endpoint = (np.uint64(address[i]) + np.uint64(port[i]) * PORT_FACTOR) | np.uint64(1)
        known = False
        for at in range(ENDPOINTS):
            known = known or row["endpoint"][at] == endpoint
        if (not known and row["next"] != 0) or (row["moved_ns"] != 0 and time_ns[i] - row["moved_ns"] < MOVING_NS):
            moved[i] = 1
        if known or not learn[i]:
            continue
        if row["next"] != 0:
            row["moved_ns"] = time_ns[i]
        row["endpoint"][int(row["next"]) % ENDPOINTS] = endpoint
        row["next"] += np.uint64(1)


class ResourceMoved(Detector):
    """Compares the endpoint of an attached resource with those that its name stood for before."""

    id = "resource-moved"
    derives = (
        derived_fact(
            "backwatch.resource.moved",
            "1 where the config variable of an attached resource names another host or port than before, and for an "
            "hour since.",
        ),
        derived_fact(
            MOVED_AS_DECLARED,
            "1 where it moved to a host that its policy lists, and the server was verified in full: another identity "
            "is expected.",
        ),
    )
    tables = (Table("resource_moved", RESOURCE, 1, MOVE),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        moved = np.zeros(calls.count, np.int8)
        _judge(
            calls[names.RESOURCE_NAME], calls[names.SERVER_ADDRESS], calls[names.SERVER_PORT], calls["time_ns"],
            slot[RESOURCE.name], learn, tables["resource_moved"], moved,
        )  # fmt: skip
        declared = (calls[names.RESOURCE_DECLARED] == 1) & (calls[PROVEN] == 1)
        return {"backwatch.resource.moved": moved, MOVED_AS_DECLARED: moved * declared.astype(np.int8)}
