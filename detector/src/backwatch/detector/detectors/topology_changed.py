"""Nodes that are new in a service's topology."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import NEW, known_values_dtype, observe
from backwatch.detector.derived.numbers import NODES
from backwatch.detector.detectors import EXPECTED_SUFFIX, Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
MAX_NODES: Final = 32
"""Remembered nodes of one resource: clusters are larger than sets of certificates."""


@kernel
def _judge(nodes: Array, time_ns: int, k: int, learn: bool, expected: Array, rows: Any) -> tuple[int, int]:
    """Return the number of new nodes, and the position of the first."""
    new, first = 0, 0
    for at in range(nodes.shape[0]):
        if observe(rows, k, nodes[at], time_ns, SETTLES_AFTER_NS, learn, expected[at]) == NEW:
            new += 1
            if first == 0:
                first = at + 1
    return new, first


class TopologyChanged(Detector):
    """Compares the nodes that a service names with those that it named before."""

    id = "topology-changed"
    derives = (
        derived_fact(
            "backwatch.topology.new",
            "Number of nodes that the service named and that are new, at a resource whose nodes are known.",
        ),
        derived_fact(
            "backwatch.topology.first",
            "Position of the first new node in backwatch.topology, from 1; 0: none is new.",
        ),
    )
    knows = ((NODES, "topology_changed"),)
    accepts = (names.TOPOLOGY,)
    identity_changes = ("backwatch.topology.new",)
    tables = (Table("topology_changed", RESOURCE, 1, known_values_dtype(MAX_NODES)),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new, first = np.zeros(calls.count, np.int16), np.zeros(calls.count, np.int16)
        nodes, rows = calls[NODES], tables["topology_changed"]
        announced = calls.columns.get(NODES + EXPECTED_SUFFIX)
        # Reported at the start of a connection and on changes, so that few calls reach this loop.
        for i in np.flatnonzero(calls[names.TOPOLOGY]).tolist():
            k = int(slot[RESOURCE.name][i])
            if k:
                expected = None if announced is None else announced[i]
                expected = np.zeros(nodes[i].shape[0], np.int8) if expected is None else expected
                new[i], first[i] = _judge(nodes[i], int(calls["time_ns"][i]), k, bool(learn[i]), expected, rows)
        return {"backwatch.topology.new": new, "backwatch.topology.first": first}
