"""Kinds of sensitive data that each resource was seen to hold, receive or send; the rule beside it reads them."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.derived.numbers import DATA_KINDS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

_SEEN: Final = np.dtype([("kinds", "<u4")])


@kernel
def _collect(kinds: Array, late: Array, resource: Array, rows: Any, seen: Array) -> None:
    for i in range(resource.shape[0]):
        if resource[i] == 0:
            continue
        row = rows[resource[i]]
        if kinds[i] != 0 and not late[i]:
            row["kinds"] = np.uint32(np.int64(row["kinds"]) | kinds[i])
        if row["kinds"] != 0:
            seen[i] = float(row["kinds"])


class SensitiveDataToNewDestination(Detector):
    """Collects the kinds of data of each resource."""

    id = "sensitive-data-to-new-destination"
    derives = (
        derived_fact(
            "backwatch.data.resource",
            "Kinds of sensitive data that calls of the resource received or sent so far; absent: none was seen.",
            bits=names.DATA_KINDS,
        ),
    )
    shows = ("backwatch.data.resource",)
    tables = (Table("sensitive_data", RESOURCE, 1, _SEEN),)

    def facts(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        tables: Mapping[str, Rows],
        learn: NDArray[np.bool_],  # noqa: ARG002  what an attack reads is exposed, too
    ) -> dict[str, Array]:
        """Return the kinds of each call's resource."""
        seen = np.full(calls.count, np.nan)
        _collect(calls[DATA_KINDS], calls["late"], slot[RESOURCE.name], tables["sensitive_data"], seen)
        return {"backwatch.data.resource": seen}
