"""Servers that say of themselves what they never said before: another version, another identity."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import FAMILIAR, NEW, meet
from backwatch.detector.derived.numbers import VERSION_NUMBER
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: the nodes behind one name show their versions within it."""

WAS = np.dtype([("version", "<i8")])


@kernel
def _judge(
    version: Array,
    identity: Array,
    number: Array,
    time_ns: Array,
    resource: Array,
    learn: Array,
    expected_version: Array,
    expected_identity: Array,
    versions: Any,
    identities: Any,
    known: Any,
    new_version: Array,
    new_identity: Array,
    was: Array,
) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0:
            continue
        if version[i] != 0:
            met = meet(versions, k, version[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected_version[i])
            if met == NEW:
                new_version[i] = 1
                if known[k]["version"] > 0:
                    was[i] = float(known[k]["version"] - 1)
            elif learn[i] and number[i] >= 0:
                known[k]["version"] = number[i] + 1
        met = meet(identities, k, identity[i], time_ns[i], SETTLES_AFTER_NS, learn[i], expected_identity[i])
        if met == NEW:
            new_identity[i] = 1


class ServerChanged(Detector):
    """Tells whether a server announces a version or an identity that its resource announced before.

    Provides:
        ``backwatch.server.version.new``: 1 where the announced version is new, at a resource whose versions are known.
        ``backwatch.server.id.new``: 1 where the announced identity is new, at a resource whose identities are known.
        ``backwatch.server.version.number.was``: The version that was announced last before, as
            ``backwatch.server.version.number`` writes it (8.0.17 is 8000017); NaN where nothing is new.
    """

    id = "server-changed"
    provides = ("backwatch.server.version.new", "backwatch.server.id.new", "backwatch.server.version.number.was")
    tables = (
        Table("server_changed_version", RESOURCE, 1, FAMILIAR), Table("server_changed_id", RESOURCE, 1, FAMILIAR),
        Table("server_changed", RESOURCE, 1, WAS),
    )  # fmt: skip
    knows = (
        (names.SERVER_VERSION, "server_changed_version"), (VERSION_NUMBER, "server_changed_version"),
        (names.SERVER_ID, "server_changed_id"),
    )  # fmt: skip
    accepts = (names.SERVER_VERSION, names.SERVER_ID)
    identity_changes = ("backwatch.server.version.new", "backwatch.server.id.new")
    rule = """
title: Another Server Answers in a Resource's Name
id: 72ae8bb7-b8cb-4dfe-8bea-8e35806d0e3f
name: server-changed
status: experimental
description: >-
  Detects a server that announces a version or an identity which its resource never announced: it was upgraded,
  another node took over, or someone else answers in its place.
references:
  - https://attack.mitre.org/techniques/T1557/
  - https://docs.zeek.org/en/master/scripts/policy/protocols/mysql/software.zeek.html
tags: [attack.credential-access, attack.collection, attack.t1557, attack.resource-development, attack.t1584]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  version:
    backwatch.server.version.new: true
    backwatch.server.version.number.was|exists: true
    backwatch.server.version.number|exists: true
  identity:
    backwatch.server.id.new: true
  filter_main_restarted:  # their identity is one process's
    db.system.name: [redis, valkey, mongodb]
    backwatch.server.version.new: false
  filter_main_restarted_queue:
    messaging.system: nats
    backwatch.server.version.new: false
  filter_main_proven_site:  # an upgrade of the software before it; certificate-changed tells of who answers
    backwatch.system: http
    backwatch.tls.proven: true
    backwatch.server.id.new: false
  condition: (version or identity) and not 1 of filter_main_*
fields:
  - backwatch.server.version
  - backwatch.server.version.was
  - backwatch.server.id
  - backwatch.server.id.was
  - server.address
  - network.peer.address
  - network.peer.address.was
  - network.peer.port
  - tls.server.hash.sha256
  - backwatch.tls.verified
falsepositives:
  - An upgrade of the server, or a failover to a node that was never used; accept the alert.
level: medium
backwatch:
  key: resource
  how:
    - >-
      Another server answers in the service's name: a hijacked name or address, a tunnel that ends elsewhere, an old
      replica that somebody woke up. It announces its own version and identity, because it does not know the right
      ones.
  blind_spots: >-
    A server that announces what the right one does: both are only what it says of itself. Versions without a number,
    as many web servers show, and those of a web server that is verified in full, which are of the software before it.
    Resources with more than eight versions or identities within a week. A restart of Redis,
    MongoDB or NATS gives a new identity and is no news.
  remediation: >-
    Compare the version and the identity in the evidence with the server's own: SHOW server_version and
    system_identifier of pg_control_system() (PostgreSQL), @@version and @@server_uuid (MySQL), INFO server (Redis),
    kafka-cluster.sh cluster-id (Kafka). If nobody upgraded or failed over, cut the connection. Verify the certificate
    in full (sslmode=verify-full, ssl_verify_identity=True, ssl_check_hostname=True, verify=True): then nobody else
    can answer.
  parameters: [verified-tls]
  tests:
    - name: another version
      fires: true
      facts:
        backwatch.server.version.new: true
        backwatch.server.version.number.was: 15010000
        backwatch.server.version.number: 14002000
    - name: another cluster
      fires: true
      facts: {backwatch.server.id.new: true, messaging.system: kafka}
    - name: Redis was restarted
      fires: false
      facts: {backwatch.server.id.new: true, backwatch.server.version.new: false, db.system.name: redis}
    - name: a proxy's page instead of the web server's
      fires: false
      facts: {backwatch.server.version.new: true, backwatch.server.version.number.was: 21002000}
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        version, identity = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        was = np.full(calls.count, np.nan)
        _judge(
            calls[names.SERVER_VERSION], calls[names.SERVER_ID], calls[VERSION_NUMBER], calls["time_ns"],
            slot[RESOURCE.name], learn,
            np.maximum(calls.expected(names.SERVER_VERSION), calls.expected(VERSION_NUMBER)),
            calls.expected(names.SERVER_ID), tables["server_changed_version"], tables["server_changed_id"],
            tables["server_changed"], version, identity, was,
        )  # fmt: skip
        return {
            "backwatch.server.version.new": version, "backwatch.server.id.new": identity,
            "backwatch.server.version.number.was": was,
        }  # fmt: skip
