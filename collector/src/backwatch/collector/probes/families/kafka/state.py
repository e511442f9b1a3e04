"""The state of the app's Kafka clients, and of their connections to brokers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.probes.families.kafka.session import format_tls_version, requested_facts
from backwatch.collector.probes.toolkit.sockets import peer, words
from backwatch.collector.runtime.internal_clients import is_internal
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

STATE_ATTRIBUTE: Final = "_backwatch_kafka"
"""Attribute of the driver's objects that holds their state."""


class KafkaClientState:
    """The state of one client: all its connections lead to the same resource.

    Attributes:
        is_internal: It belongs to Backwatch's own stream and is never recorded.
        has_fixed_version: The app configured the brokers' version, so the driver did not negotiate it.
        latest: The session of the newest connection; before the first one, the configured session.
        nodes: The brokers that were recorded last.
    """

    __slots__ = ("has_fixed_version", "is_internal", "latest", "nodes", "server_id")

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.is_internal = is_internal(config.get("client_id"))
        self.has_fixed_version = config.get("api_version") not in (None, "auto")
        self.latest = Session(system="kafka", **requested_facts(config))
        self.nodes: frozenset[tuple[Any, Any]] = frozenset()
        self.server_id = ""

    def set_cluster_id(self, cluster_id: object) -> None:
        """Keep the cluster's identifier; sessions that are recorded from now on have it."""
        self.server_id = words(cluster_id, 64)
        self.latest = self.with_cluster_id(self.latest)

    def with_cluster_id(self, session: Session) -> Session:
        """Return the session with the cluster's identifier; the same object if it has it already."""
        if session.server_id == self.server_id or not self.server_id:
            return session
        return replace(session, server_id=self.server_id, encoded=[])

    def session_of(self, socket: Any, tls: Any, version: object = None) -> Session:
        """Return the session of an open connection. Takes some ten microseconds, once per connection.

        Args:
            tls: The TLS object; ``None`` if TLS was not requested.
            version: Of the brokers, as the driver negotiated it.
        """
        facts: dict[str, Any] = dict(peer(socket))
        if self.latest.requested == "disable":
            if facts:  # else there is no peer, encrypted or not
                facts["encrypted"] = False
        elif tls is not None:
            established = read_tls_facts(tls)
            if established.get("encrypted"):  # else the handshake is not over, and nothing is known yet
                facts.update(established)
        if version is not None and not self.has_fixed_version:
            facts["server_version"] = format_tls_version(version)
        blank = replace(
            self.latest, encrypted=None, tls_version="", cipher="", verified="", certificate_sha256="", not_before="",
            not_after="", issuer="", subject="", peer_address="", peer_port=0, encoded=[],
        )  # fmt: skip
        return replace(blank, server_id=self.server_id, **facts)


class KafkaConnectionState:
    """The state of one connection to a broker.

    Attributes:
        start_ns: Start of the connect in progress; 0: none.
    """

    __slots__ = ("client", "session", "start_ns")

    def __init__(self, client: KafkaClientState) -> None:
        self.client = client
        self.session: Session | None = None
        self.start_ns = 0
