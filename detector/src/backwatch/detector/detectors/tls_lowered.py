"""Sessions in an older TLS than a resource ever spoke."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.familiar import FAMILIAR, NEW, meet
from backwatch.detector.compiled import kernel
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine.derived import TLS_RANK
from backwatch.detector.engine.keys import RESOURCE
from backwatch.detector.engine.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: what stands before one name, old and new, is met within it."""

NEWEST = np.dtype([("rank", "u1")])
"""The newest version that the resource is known by; 0: none."""


@kernel
def _judge(
    version: Array, rank: Array, time_ns: Array, resource: Array, learn: Array, rows: Any, newest: Any, lowered: Array
) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0 or rank[i] < 0:
            continue
        if meet(rows, k, version[i], time_ns[i], SETTLES_AFTER_NS, learn[i], 0) == NEW:
            lowered[i] = rank[i] < newest[k]["rank"]
        elif learn[i]:
            newest[k]["rank"] = max(newest[k]["rank"], rank[i])


class TlsLowered(Detector):
    """Tells whether a session is in an older version of TLS than its resource is known by.

    Provides:
        ``backwatch.tls.lowered``: 1 where the session's version is new at a resource whose versions are known, and
            older than the newest of them.
    """

    id = "tls-lowered"
    provides = ("backwatch.tls.lowered",)
    news = ("backwatch.tls.lowered",)
    tables = (Table("tls_lowered", RESOURCE, 1, FAMILIAR), Table("tls_lowered_newest", RESOURCE, 1, NEWEST))
    rule = """
title: A Resource Speaks an Older TLS Than It Ever Did
id: 5d0c2c53-3a0e-4a57-9d0b-0d2f1e7c6b41
name: tls-lowered
status: experimental
description: >-
  Detects a session in a version of TLS that its resource never spoke, and that is older than what it spoke: someone on
  the way may have talked the two down.
references:
  - https://datatracker.ietf.org/doc/html/rfc8446#section-4.1.3
  - https://attack.mitre.org/techniques/T1689/
  - https://attack.mitre.org/techniques/T1600/
tags: [attack.credential-access, attack.t1557, attack.t1600, attack.t1562.010, attack.t1689]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.tls.lowered: true
  condition: selection
fields:
  - tls.protocol.version
  - tls.cipher
  - backwatch.tls.requested
  - backwatch.tls.verified
  - tls.server.hash.sha256
  - server.address
  - network.peer.address
  - network.peer.port
  - backwatch.server.version
falsepositives:
  - A server that was moved behind an older balancer, or a client whose own library was set back; accept the alert.
level: medium
backwatch:
  key: resource
  how:
    - >-
      Someone on the way answers in the server's place and offers no newer version, because the older one has faults
      that they know how to use (in TLS 1.2 a key exchange without forward secrecy, in 1.1 signatures with SHA-1).
    - >-
      Another machine answers in the service's place, whose software is older.
  blind_spots: >-
    A version that the resource spoke before, or speaks on some of its nodes. Drivers that do not tell the version.
    The old version goes on being told for a week.
  remediation: >-
    Find out who answers at this address, and what ends TLS there. Set the client's least version to the one that the
    service is known to speak (SSLContext.minimum_version, ssl_min_protocol_version=TLSv1.3), so that nobody can talk
    the two down.
  parameters: [least-tls]
  tests:
    - name: 1.2 where it was 1.3
      fires: true
      facts: {tls.protocol.version: '1.2', backwatch.tls.lowered: 1}
    - name: the usual version
      fires: false
      facts: {tls.protocol.version: '1.3', backwatch.tls.lowered: 0}
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        lowered = np.zeros(calls.count, np.int8)
        _judge(
            calls[names.TLS_VERSION], calls[TLS_RANK], calls["time_ns"], slot[RESOURCE.name], learn,
            tables["tls_lowered"], tables["tls_lowered_newest"], lowered,
        )  # fmt: skip
        return {"backwatch.tls.lowered": lowered}
