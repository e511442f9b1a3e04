"""DataStax' driver for Cassandra: each request that goes to a node, each page of rows, each connection to a node.

All that an app asks goes through ``ResponseFuture``, whatever called it: ``execute``, ``execute_async``, prepared and
bound statements, batches, ``execute_concurrent``, cqlengine. Many requests share one connection, so bytes are those of
the messages, told as an estimate; only ``connect`` has the kernel's count. What an UPDATE changed no node says.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.cassandra.calls import CassandraCallObserver
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.guard import never_breaks_the_host


def _connecting(observer: CassandraCallObserver) -> Make:
    """The class method that gives a connection which has logged in."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def factory(cls: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            observer.connecting()
            try:
                connection = original(cls, *args, **kwargs)
            except BaseException as error:
                observer.connected(None, start_ns, error)
                raise
            observer.connected(connection, start_ns, None)
            return connection

        return factory

    return make


def _reaching(observer: CassandraCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _connect_socket(connection: Any) -> Any:
            observer.reaching(connection)
            result = original(connection)
            observer.reached(connection)
            return result

        return _connect_socket

    return make


def _refused(observer: CassandraCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _initiate_connection(connection: Any, sockaddr: Any) -> Any:
            try:
                return original(connection, sockaddr)
            except BaseException as error:
                observer.refused(error)
                raise

        return _initiate_connection

    return make


def _before(look: Callable[..., object]) -> Make:
    """Looks at what a method is given, first."""
    guarded = never_breaks_the_host(look)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(owner: Any, *args: Any, **kwargs: Any) -> Any:
            guarded(owner, *args)
            return original(owner, *args, **kwargs)

        return method

    return make


def _after(look: Callable[..., object]) -> Make:
    """Looks at what a method was given, afterwards."""
    guarded = never_breaks_the_host(look)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(owner: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(owner, *args, **kwargs)
            guarded(owner, *args)
            return result

        return method

    return make


class CassandraProbe(PatchingProbe[CassandraCallObserver]):
    """cassandra-driver: requests, prepared statements, batches, pages, nodes."""

    name = "cassandra"
    module = "cassandra.cluster"
    distributions = ("cassandra-driver>=3.26",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.STATEMENT,
        names.OPERATION, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.SERVER_ID, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE,
        names.NOTICES, names.TOPOLOGY,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps connections, futures and the control connection."""
        observer, patches = CassandraCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        cluster: Any = importlib.import_module("cassandra.cluster")
        connection: Any = importlib.import_module("cassandra.connection").Connection
        future, control = cluster.ResponseFuture, cluster.ControlConnection
        patches.wrap(connection, "factory", _connecting(observer))
        patches.wrap(connection, "_connect_socket", _reaching(observer))
        patches.wrap(connection, "_initiate_connection", _refused(observer))
        patches.wrap(connection, "process_msg", _before(lambda self, _, body: observer.received(self, body)))
        patches.wrap(connection, "handle_pushed", _before(observer.pushed))
        patches.wrap(future, "send_request", _before(lambda self, *_: observer.sending(self)))
        patches.wrap(
            future, "_set_result", _before(lambda self, _, by, __, answer: observer.answered(self, by, answer))
        )
        patches.wrap(future, "_set_final_result", _before(lambda self, _: observer.ended(self, None)))
        patches.wrap(future, "_set_final_exception", _before(observer.ended))
        nodes = _after(lambda self, by, *_: observer.announced(self, by))
        patches.wrap(control, "_refresh_node_list_and_token_map", nodes)
