"""The connections of kafka-python's two generations, and the brokers that they announce.

The wrapped names are the driver's own. In a version that has dropped one, its facts are unknown; nothing else changes.
"""

import importlib
from contextvars import ContextVar
from typing import Any
from weakref import ReferenceType, ref

from backwatch.collector.probes.families.kafka.connections import ConnectionObserver
from backwatch.collector.probes.families.kafka.state import STATE_ATTRIBUTE, KafkaConnectionState
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Error, async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.guard import never_breaks_the_host

current_client: ContextVar[ReferenceType[Any] | None] = ContextVar("backwatch_kafka_client", default=None)
"""The client that is making a connection, which does not know its client (2.x)."""


class _ConnectionHooks:
    """The hooks of kafka-python's connection classes."""

    def __init__(self, observer: ConnectionObserver) -> None:
        self.observer = observer

    @never_breaks_the_host
    def on_update_metadata_end(self, cluster: Any, _token: Any, _result: Any, error: Error) -> None:
        """Handle the brokers that were announced."""
        if error is None:
            self.observer.on_metadata(cluster)

    # --- 3.x: a coroutine of the connection manager connects, and passes a failure to its future only ---

    @never_breaks_the_host
    def on_manager_connect(self, manager: Any, args: Any, kwargs: Any) -> tuple[KafkaConnectionState, Any] | None:
        """Handle the start of a connect."""
        connection = argument(args, kwargs, 1, "conn")
        state = self.observer.on_connect(connection, manager)
        return None if state is None else (state, connection)

    @never_breaks_the_host
    def on_manager_connect_end(
        self, manager: Any, token: tuple[KafkaConnectionState, Any], _result: Any, error: Error
    ) -> None:
        """Record a connect."""
        state, connection = token
        if error is not None:
            return
        if connection.connected:
            socket = getattr(connection.transport, "_sock", None)
            self.observer.on_open(state, socket, getattr(connection, "broker_version", None))
        elif manager.closed:
            state.start_ns = 0  # by the app, before the connection was open
        else:
            self.observer.on_connect_failed(state, getattr(connection.init_future, "exception", None))

    @never_breaks_the_host
    def on_connection_made(self, connection: Any, args: Any, kwargs: Any) -> None:
        """Handle a transport that is open; the login follows."""
        self.observer.on_socket(connection, getattr(argument(args, kwargs, 0, "transport"), "_sock", None))

    # --- 2.x: a connection is made step by step, one for each call of its ``connect`` ---

    def on_client_connect(self, client: Any, _args: Any, _kwargs: Any) -> ReferenceType[Any]:
        """Return the client, for the connections that it makes."""
        return ref(client)

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Any, _kwargs: Any) -> KafkaConnectionState | None:
        """Handle a step of a connect."""
        client = current_client.get()
        return None if connection.connected() else self.observer.on_connect(connection, client() if client else None)

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, state: KafkaConnectionState, _result: Any, error: Error) -> None:
        """Record a connect after its last step."""
        if error is not None:
            self.observer.on_connect_failed(state, error, connection._sock)
        elif connection.connected():
            version = getattr(connection, "_api_version", None) or connection.config.get("api_version")
            self.observer.on_open(state, connection._sock, version)
        elif connection.disconnected():
            state.start_ns = 0  # nothing was tried, or ``on_close`` has recorded the failure

    @never_breaks_the_host
    def on_close(self, connection: Any, args: Any, kwargs: Any) -> None:
        """Record a failed connect, which ends here with its socket still open."""
        state = vars(connection).get(STATE_ATTRIBUTE)
        if state is not None and state.start_ns:
            error = argument(args, kwargs, 0, "error")
            if error is not None:
                self.observer.on_connect_failed(state, error, connection._sock)
            state.start_ns = 0


def wrap_connections(observer: ConnectionObserver, patches: Patches) -> None:
    """Wrap the methods by which connections are made, in whichever generation the driver is."""
    hooks = _ConnectionHooks(observer)
    cluster: Any = importlib.import_module("kafka.cluster").ClusterMetadata
    patches.wrap(cluster, "update_metadata", call_hook(None, hooks.on_update_metadata_end))
    try:
        connection: Any = importlib.import_module("kafka.net.connection").KafkaConnection
    except ImportError:
        client: Any = importlib.import_module("kafka.client_async").KafkaClient
        connection = importlib.import_module("kafka.conn").BrokerConnection
        for method in ("_maybe_connect", "_init_connect"):
            patches.wrap(client, method, call_hook(hooks.on_client_connect, scope=current_client))
        patches.wrap(connection, "connect", call_hook(hooks.on_connect, hooks.on_connect_end))
        patches.wrap(connection, "close", call_hook(hooks.on_close))
    else:
        manager: Any = importlib.import_module("kafka.net.manager").KafkaConnectionManager
        connect = async_call_hook(hooks.on_manager_connect, hooks.on_manager_connect_end)
        patches.wrap(manager, "_connect", connect)
        patches.wrap(connection, "connection_made", call_hook(hooks.on_connection_made))
