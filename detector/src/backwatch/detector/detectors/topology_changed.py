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
    rule = """
title: A Service Sends Its Clients to a Node It Never Named
id: d392ac30-794b-485c-a70b-e3b65249a942
name: topology-changed
status: experimental
description: >-
  Detects a cluster, replica set, broker or sentinel that tells the client of a node which it never told it of, and to
  which the client will connect by itself, with the same account.
references:
  - https://attack.mitre.org/techniques/T1557/
  - https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
  - https://kafka.apache.org/documentation/#brokerconfigs_advertised.listeners
tags: [attack.credential-access, attack.t1557, attack.command-and-control, attack.t1090]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.topology.new|gte: 1
  condition: selection
fields:
  - backwatch.topology
  - backwatch.topology.was
  - server.address
  - network.peer.address
  - network.peer.port
  - backwatch.server.id
falsepositives:
  - A cluster that was made larger, or a node that was replaced; accept the alert.
level: medium
backwatch:
  key: resource
  how:
    - >-
      One node that was taken over, or an answer changed on the way, names a machine of the attacker's as another
      broker, replica or master; the client connects there by itself and logs in with the same account.
    - >-
      A Kafka broker that names a foreign leader is sent the messages; a MongoDB member that names a foreign primary
      gets the writes.
  blind_spots: >-
    Clusters of more than 32 nodes, and those whose nodes change every week, are never settled. Nodes beyond the first
    256, or beyond 4 096 characters. A known name whose address changed: peer-changed sees it.
  remediation: >-
    Ask whoever runs the cluster whether the node is theirs; the evidence counts its place in the list. Do not let
    the client find nodes by itself where you know them. Verify each node's certificate against its name, so that a
    node without one is refused.
  parameters: [known-nodes, verified-tls]
  tests:
    - {name: a node that nobody knows, fires: true, facts: {backwatch.topology.new: 1, backwatch.topology.first: 3}}
    - {name: the nodes as always, fires: false, facts: {backwatch.topology.new: 0, backwatch.topology.first: 0}}
"""

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
