"""The state of confluent-kafka's clients."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backwatch.collector.probes.confluent_kafka.session import is_on, requested_facts
from backwatch.collector.probes.toolkit.messages import NEVER, PendingMessages
from backwatch.collector.probes.toolkit.nodes import address, topology_facts
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS
from backwatch.collector.runtime.internal_clients import is_internal
from backwatch.collector.runtime.record import Facts, Session


class ConfluentClientState:
    """The state of one producer, consumer or administrator.

    Attributes:
        is_internal: It belongs to Backwatch's own stream and is never recorded.
        reports_only_errors: The app has switched off delivery reports of messages that arrived.
        default_delivery: The app's delivery callback, where a message has none.
        pending: Messages received one by one that wait to be recorded, by topic.
        due: When the first of them must be recorded, by ``monotonic``.
    """

    __slots__ = (
        "__weakref__", "default_delivery", "due", "is_internal", "nodes", "pending", "reports_only_errors", "session",
    )  # fmt: skip

    def __init__(self, config: Mapping[Any, Any], *, checks_names: bool) -> None:
        self.is_internal = is_internal(config.get("client.id"))
        self.session = Session(system="kafka", **requested_facts(config, checks_names=checks_names))
        self.reports_only_errors = is_on(config.get("delivery.report.only.error"))
        self.default_delivery: Any = config.get("on_delivery") or config.get("dr_cb")
        self.nodes: frozenset[tuple[Any, Any]] = frozenset()
        self.pending: dict[str, PendingMessages] = {}
        self.due = NEVER

    def established_session(self) -> Session:
        """Return the session after a broker has responded: it is established as it was configured."""
        session = self.session
        if session.encrypted is None:
            encrypted = session.requested != "disable"
            verified = VERIFICATIONS.get(session.requested, "")
            session = self.session = replace(session, encrypted=encrypted, verified=verified, encoded=[])
        return session

    def node_facts(self, response: Any) -> Facts:
        """Return the brokers in a response that the app requested, if they are others than before."""
        brokers = getattr(response, "brokers", None)
        if not isinstance(brokers, dict):
            return ()
        server_id = words(getattr(response, "cluster_id", None), 64)
        if server_id and server_id != self.session.server_id:
            self.session = replace(self.session, server_id=server_id, encoded=[])
        nodes = frozenset((broker.host, broker.port) for broker in brokers.values())
        if not nodes or nodes == self.nodes:
            return ()
        self.nodes = nodes
        return topology_facts(address(*node) for node in nodes)
