"""Peer addresses that are new for a resource."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import KNOWN, KNOWN_VALUES, NEW, observe
from backwatch.detector.detectors import MOVED_AS_DECLARED, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 86_400 * 1_000_000_000
"""One day: rotating names and long-lived pools show all their addresses within it."""


@kernel
def _judge(
    peer: Array, time_ns: Array, resource: Array, learn: Array, expected: Array, rows: Any, new: Array, known: Array
) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0 or peer[i] == 0:
            continue
        found = observe(rows, k, peer[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected[i])
        new[i] = found == NEW
        known[i] = found == KNOWN


class PeerChanged(Detector):
    """Compares a session's peer address with those at which its resource was reached before."""

    id = "peer-changed"
    derives = (
        derived_fact(
            "backwatch.peer.new", "1 where the peer's address is new, at a resource whose addresses are known."
        ),
        derived_fact("backwatch.peer.known", "1 where the resource is known to respond at the peer's address."),
    )
    reads = (MOVED_AS_DECLARED,)
    knows = ((names.PEER_ADDRESS, "peer_changed"),)
    accepts = (names.PEER_ADDRESS,)
    identity_changes = ("backwatch.peer.new",)
    tables = (Table("peer_changed", RESOURCE, 1, KNOWN_VALUES),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new, known = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        _judge(
            calls[names.PEER_ADDRESS], calls["time_ns"], slot[RESOURCE.name], learn,
            calls.get_expected_identity(names.PEER_ADDRESS), tables["peer_changed"], new, known,
        )  # fmt: skip
        return {"backwatch.peer.new": new, "backwatch.peer.known": known}
