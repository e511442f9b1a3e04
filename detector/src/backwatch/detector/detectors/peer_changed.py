"""Addresses at which a resource was never reached before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import FAMILIAR, NEW, meet
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 86_400 * 1_000_000_000
"""One day: names that rotate among addresses, and pools that live long, show them within it."""


@kernel
def _judge(peer: Array, time_ns: Array, resource: Array, learn: Array, expected: Array, rows: Any, new: Array) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k != 0 and meet(rows, k, peer[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected[i]) == NEW:
            new[i] = 1


class PeerChanged(Detector):
    """Tells whether a session's peer is one at which its resource was reached before.

    Provides:
        ``backwatch.peer.new``: 1 where the peer's address is new, at a resource whose addresses are known.
    """

    id = "peer-changed"
    provides = ("backwatch.peer.new",)
    knows = ((names.PEER_ADDRESS, "peer_changed"),)
    accepts = (names.PEER_ADDRESS,)
    identity_changes = ("backwatch.peer.new",)
    tables = (Table("peer_changed", RESOURCE, 1, FAMILIAR),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        new = np.zeros(calls.count, np.int8)
        _judge(
            calls[names.PEER_ADDRESS], calls["time_ns"], slot[RESOURCE.name], learn,
            calls.expected(names.PEER_ADDRESS), tables["peer_changed"], new,
        )  # fmt: skip
        return {"backwatch.peer.new": new}
