"""The hooks of connections to brokers, and of the brokers that a cluster announces."""

from time import time_ns
from typing import Any

from backwatch.collector.probes.families.kafka.clients import KafkaClients, status_facts
from backwatch.collector.probes.families.kafka.state import STATE_ATTRIBUTE, KafkaClientState, KafkaConnectionState
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.nodes import address, topology_facts
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters


class ConnectionObserver:
    """The observer of one driver's connections."""

    def __init__(self, clients: KafkaClients) -> None:
        self.clients = clients

    @never_breaks_the_host
    def on_connect(self, connection: Any, owner: Any) -> KafkaConnectionState | None:
        """Handle a connect that begins or goes on.

        Args:
            owner: Holds the client's connections; ``None`` if unknown.
        """
        if self.clients.recorder is None:
            return None
        state: KafkaConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None and owner is not None:
            state = connection.__dict__[STATE_ATTRIBUTE] = KafkaConnectionState(self.clients.state_of(owner))
        if state is None or state.client.is_internal:
            return None
        if not state.start_ns:
            state.start_ns, state.session = time_ns(), None
        return state

    @never_breaks_the_host
    def on_socket(self, connection: Any, socket: Any) -> None:
        """Read the session of a connection that has reached a broker; its login, if any, is yet to come."""
        state: KafkaConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None and state.start_ns and socket is not None:
            state.session, _ = self.clients.access.session_of(state.client, socket, None)

    @never_breaks_the_host
    def on_open(self, state: KafkaConnectionState, socket: Any, version: object) -> None:
        """Record a connect, its login included."""
        start_ns, state.start_ns = state.start_ns, 0
        if not start_ns or self.clients.recorder is None:
            return
        session, number = self.clients.access.session_of(state.client, socket, version)
        state.session = state.client.latest = session
        self.clients.recorder.record_call(session, "connect", start_ns=start_ns, wire=SocketCounters(number))

    @never_breaks_the_host
    def on_connect_failed(self, state: KafkaConnectionState, error: Error, socket: Any = None) -> None:
        """Record a failed connect, TLS handshake or login, with the facts that were known by then."""
        start_ns, state.start_ns = state.start_ns, 0
        if not start_ns or self.clients.recorder is None:
            return
        if socket is not None:
            state.session, _ = self.clients.access.session_of(state.client, socket, None)
        session = state.session or state.client.latest
        reason = "error" if error is None else root_error(error)
        self.clients.recorder.record_call(
            session, "connect", start_ns=start_ns, error=reason, facts=status_facts(error)
        )

    @never_breaks_the_host
    def on_metadata(self, cluster: Any, cluster_id: object = None) -> None:
        """Record the brokers that a cluster announces, if they are others than before.

        Args:
            cluster_id: The cluster's identifier; ``None``: the cluster object may have it.
        """
        client: KafkaClientState | None = cluster.__dict__.get(STATE_ATTRIBUTE)
        if client is None or client.is_internal or self.clients.recorder is None:
            return
        if cluster_id is not None and not client.server_id:
            client.set_cluster_id(cluster_id)
        nodes = frozenset((broker.host, broker.port) for broker in cluster.brokers())
        if nodes == client.nodes or not nodes:
            return
        client.nodes = nodes
        client.set_cluster_id(getattr(cluster, "cluster_id", None))
        facts = topology_facts(address(*node) for node in nodes)
        self.clients.recorder.record_call(
            client.latest, "metadata", statement="metadata", start_ns=time_ns(), facts=facts
        )
