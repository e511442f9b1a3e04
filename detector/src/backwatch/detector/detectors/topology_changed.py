"""Nodes to which a service never sent its clients before."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import NEW, familiar, meet
from backwatch.detector.derived.numbers import NODES
from backwatch.detector.detectors import EXPECTED_SUFFIX, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
MEMBERS: Final = 32
"""Nodes of one resource that are remembered: clusters are larger than the sets of certificates."""


@kernel
def _judge(nodes: Array, time_ns: int, k: int, learn: bool, expected: Array, rows: Any) -> tuple[int, int]:
    """How many of these nodes are new, and the place of the first."""
    new, first = 0, 0
    for at in range(nodes.shape[0]):
        if meet(rows, k, nodes[at], time_ns, SETTLES_AFTER_NS, learn, expected[at]) == NEW:
            new += 1
            if first == 0:
                first = at + 1
    return new, first


class TopologyChanged(Detector):
    """Tells whether a service names a node that it never named before.

    Provides:
        ``backwatch.topology.new``: How many of the nodes that the service named are new, at a resource whose nodes are
            known.
        ``backwatch.topology.first``: The place of the first new node in ``backwatch.topology``, counted from 1; 0: none
            is new.
    """

    id = "topology-changed"
    provides = ("backwatch.topology.new", "backwatch.topology.first")
    knows = ((NODES, "topology_changed"),)
    accepts = (names.TOPOLOGY,)
    identity_changes = ("backwatch.topology.new",)
    tables = (Table("topology_changed", RESOURCE, 1, familiar(MEMBERS)),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        new, first = np.zeros(calls.count, np.int16), np.zeros(calls.count, np.int16)
        nodes, rows = calls[NODES], tables["topology_changed"]
        announced = calls.columns.get(NODES + EXPECTED_SUFFIX)
        # Told at a connection's start and where it changed, so that few calls come this way.
        for i in np.flatnonzero(calls[names.TOPOLOGY]).tolist():
            k = int(slot[RESOURCE.name][i])
            if k:
                expected = None if announced is None else announced[i]
                expected = np.zeros(nodes[i].shape[0], np.int8) if expected is None else expected
                new[i], first[i] = _judge(nodes[i], int(calls["time_ns"][i]), k, bool(learn[i]), expected, rows)
        return {"backwatch.topology.new": new, "backwatch.topology.first": first}
