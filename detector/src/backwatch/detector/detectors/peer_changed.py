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
    rule = """
title: A Resource Answers at an Address It Never Had
id: 6a1f6e5c-1b58-47d3-8f4b-64d0b5b2c304
name: peer-changed
status: experimental
description: >-
  Detects a session to an address at which its resource was never reached, where no certificate proves in full who
  answers there.
references:
  - https://attack.mitre.org/techniques/T1557/
  - https://attack.mitre.org/techniques/T1584/001/
tags: [attack.credential-access, attack.collection, attack.t1557, attack.resource-development, attack.t1584.001]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.peer.new: true
  filter_main_proven:
    tls.established: true
    backwatch.tls.verified: full
  condition: selection and not filter_main_proven
fields:
  - server.address
  - network.peer.address
  - network.peer.address.was
  - network.peer.port
  - tls.established
  - backwatch.tls.verified
  - backwatch.server.version
  - backwatch.server.version.was
  - tls.server.hash.sha256
  - tls.server.hash.sha256.was
falsepositives:
  - A failover, or a server that was moved.
level: medium
backwatch:
  key: resource
  instead_of: [server-changed, tls-lowered]
  how:
    - >-
      The name's DNS record was changed (at the registrar, in the resolver, in /etc/hosts), and the app now logs in at
      the attacker's machine.
    - >-
      An address that the cloud has given to somebody else is still what the name says.
  blind_spots: >-
    Resources behind many addresses, or known for less than a day, are never settled. A proxy in between hides the
    real peer.
  remediation: >-
    Ask whoever runs the service whether it moved, and compare the name's DNS record with the one you expect. Verify
    the server's certificate in full: then an address no longer matters, and this alert stays silent.
  parameters: [verified-tls]
  tests:
    - name: a new address
      fires: true
      facts:
        backwatch.peer.new: 1
    - name: proven by its certificate
      fires: false
      facts:
        backwatch.peer.new: 1
        tls.established: true
        backwatch.tls.verified: 'full'
    - name: redirected there, which redirected says
      fires: false
      facts:
        backwatch.peer.new: 1
        backwatch.redirect.new: 1
"""

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
