"""DataStax' driver for Cassandra: each request that goes to a node, each page of rows, each connection to a node.

All of an app's requests go through ``ResponseFuture``, whichever method sent them: ``execute``, ``execute_async``,
prepared and bound statements, batches, ``execute_concurrent``, cqlengine. Many requests share one connection, so bytes
are those of the messages, marked as estimates; only ``connect`` has the kernel's count. No node counts the rows that an
UPDATE changed.
"""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.cassandra.observer import CassandraCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class CassandraProbe(PatchingProbe[CassandraCallObserver]):
    """cassandra-driver: requests, prepared statements, batches, pages, nodes."""

    name = "cassandra"
    module = "cassandra.cluster"
    label = "cassandra-driver"
    service_kind = "SQL databases"
    distributions = ("cassandra-driver>=3.26",)
    facts = (names.OVER_TLS | WIRE_FACTS | {
        names.STATEMENT, names.AUTH_METHOD, names.SERVER_ID, names.BYTES_ESTIMATED, names.NOTICES, names.TOPOLOGY,
    }) - {names.ROWS_AFFECTED}  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap connections, futures and the control connection."""
        observer, patches = CassandraCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        cluster: Any = importlib.import_module("cassandra.cluster")
        connection: Any = importlib.import_module("cassandra.connection").Connection
        future, control = cluster.ResponseFuture, cluster.ControlConnection
        patches.wrap(connection, "factory", call_hook(observer.on_connect, observer.on_connect_end))
        socket_hook = call_hook(observer.on_connect_socket, observer.on_connect_socket_end)
        patches.wrap(connection, "_connect_socket", socket_hook)
        patches.wrap(connection, "_initiate_connection", call_hook(None, observer.on_address_end))
        patches.wrap(connection, "process_msg", call_hook(observer.on_message))
        patches.wrap(connection, "handle_pushed", call_hook(observer.on_push))
        patches.wrap(future, "send_request", call_hook(observer.on_send))
        patches.wrap(future, "_set_result", call_hook(observer.on_response))
        patches.wrap(future, "_set_final_result", call_hook(observer.on_result))
        patches.wrap(future, "_set_final_exception", call_hook(observer.on_exception))
        patches.wrap(control, "_refresh_node_list_and_token_map", call_hook(None, observer.on_nodes_end))
