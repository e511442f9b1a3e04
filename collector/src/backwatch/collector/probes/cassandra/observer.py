"""Observation of the Cassandra driver: connections to nodes, requests and their pages, the cluster's nodes, pushes.

A request starts on the app's thread and ends on the driver's own; its state in between is kept in its future. The
driver's own requests (schema, nodes, heartbeats) do not use futures and are no calls of the app.
"""

import threading
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.cassandra.session import (
    NodeConnectionState,
    add_login,
    describe_cluster,
    describe_connection,
)
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, CallObserver, notice_facts
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.nodes import address, topology_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.redaction import cql
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Caller, Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

HEADER_BYTES: Final = 9
_VERSION_REFUSED: Final[Facts] = ((names.STATUS_CODE, "0x000a"),)
_PUSHES: Final = frozenset(("TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"))


class InFlightRequest:
    """A request, or one page of it, that has no result yet.

    Attributes:
        rows, code, notices, received: From its last response.
        state: Of the connection that the response came by.
    """

    __slots__ = ("caller", "code", "notices", "operation", "received", "rows", "sql", "start_ns", "state")

    def __init__(self, operation: str, sql: str | None, caller: Caller | None) -> None:
        self.operation = operation
        self.sql = sql
        self.caller = caller
        self.start_ns = time_ns()
        self.state: NodeConnectionState | None = None
        self.rows = UNKNOWN
        self.received = 0
        self.notices = 0
        self.code: int | None = None

    def facts(self) -> Facts:
        """Return the facts that only some responses have."""
        facts = notice_facts(self.notices)
        return facts if self.code is None else (*facts, (names.STATUS_CODE, f"0x{self.code:04x}"))


def _batch_text(query: Any, cluster: Any) -> str:
    prepared, texts = cluster._prepared_statements, list[str]()
    for is_prepared, text, _ in query._statements_and_parameters[: cql.MAX_STATEMENTS]:
        known = prepared.get(text) if is_prepared else None
        texts.append(text if isinstance(text, str) else getattr(known, "query_string", ""))
    return cql.to_batch_statement(texts)


def _read_statement(future: Any) -> tuple[str, str | None]:
    """Return operation and statement of a request; an empty operation is the statement's first word."""
    query = future.query
    if query is None:
        return "PREPARE", cql.hide_literals(future.message.query)
    prepared = getattr(query, "prepared_statement", None)
    if prepared is not None:
        return "", cql.hide_literals(prepared.query_string)
    if hasattr(query, "_statements_and_parameters"):
        return "BATCH", _batch_text(query, future.session.cluster)
    kinds = type(query).__mro__
    if kinds[0].__name__ != "SimpleStatement" and any(kind.__name__ == "GraphStatement" for kind in kinds):
        return "GRAPH", None  # Gremlin, for which there is no scanner
    return "", cql.hide_literals(query.query_string)


class CassandraCallObserver(CallObserver):
    """Follows connections and futures."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._attempts = threading.local()
        """The connection that this thread opens, and the error of its last address."""

    # --- connections ---

    @never_breaks_the_host
    def on_connect(self, _kind: Any, _args: Args, _kwargs: Kwargs) -> int:
        """Start a connection on this thread."""
        self._attempts.connection = self._attempts.error = None
        return time_ns()

    @never_breaks_the_host
    def on_connect_socket(self, connection: Any, _args: Args, _kwargs: Kwargs) -> bool:
        """Keep the connection for which a socket is about to be opened."""
        self._attempts.connection = connection
        return True

    @never_breaks_the_host
    def on_address_end(self, _connection: Any, _token: Any, _result: Any, error: Error) -> None:
        """Keep the TLS error of one of a node's addresses, which the driver drops to try the next one."""
        if error is not None and root_error(error).__class__.__module__ == "ssl":
            self._attempts.error = error

    @never_breaks_the_host
    def on_connect_socket_end(self, connection: Any, _token: Any, _result: Any, error: Error) -> None:
        """Describe the open socket, with TLS where TLS is used; the login comes next."""
        if error is None and self.recorder is not None:
            session = describe_connection(connection, ready=False)
            vars(connection)[STATE_ATTRIBUTE] = NodeConnectionState(
                session, SocketCounters(descriptor(connection._socket))
            )

    @never_breaks_the_host
    def on_connect_end(self, _kind: Any, start_ns: int, connection: Any, error: Error) -> None:
        """Record a connection that has logged in, or the failure of the one that this thread opened last."""
        found = connection if connection is not None else self._attempts.connection
        below, self._attempts.connection, self._attempts.error = self._attempts.error, None, None
        if self.recorder is None or found is None:
            return
        state = vars(found).get(STATE_ATTRIBUTE)
        if error is not None:
            session = add_login(found, state.session) if state is not None else describe_connection(found, ready=False)
            if found.is_unsupported_proto_version:
                # At each start the driver tries the versions that a node refuses, one after the other.
                self.recorder.record_call(session, "negotiate", start_ns=start_ns, facts=_VERSION_REFUSED)
            else:
                self.recorder.record_call(session, "connect", start_ns=start_ns, error=root_error(below or error))
            return
        session = describe_connection(found, ready=True)
        if state is None:  # Twisted, which connects by itself
            state = vars(found)[STATE_ATTRIBUTE] = NodeConnectionState(session)
        state.session = session
        self.record_call(state, "connect", start_ns)

    def _state_of(self, connection: Any) -> NodeConnectionState:
        state = vars(connection).get(STATE_ATTRIBUTE)
        if state is None:  # older than the probe
            state = vars(connection)[STATE_ATTRIBUTE] = NodeConnectionState(describe_connection(connection, ready=True))
        return state

    @never_breaks_the_host
    def on_message(self, connection: Any, args: Args, kwargs: Kwargs) -> None:
        """Keep the size of a message that is about to be processed."""
        state = vars(connection).get(STATE_ATTRIBUTE)
        if state is not None:
            state.received = HEADER_BYTES + len(args[1] if len(args) > 1 else kwargs["body"])

    # --- requests ---

    @never_breaks_the_host
    def on_send(self, future: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Start a request or the next page of one; a second attempt belongs to the same request."""
        if self.recorder is None or vars(future).get(STATE_ATTRIBUTE) is not None:
            return
        operation, sql = _read_statement(future)
        operation = operation if future._paging_state is None else "FETCH"
        vars(future)[STATE_ATTRIBUTE] = InFlightRequest(operation, sql, self.recorder.capture_caller())

    @never_breaks_the_host
    def on_response(self, future: Any, args: Args, _kwargs: Kwargs) -> None:
        """Keep the facts of a node's response, or of the error in its place."""
        _, connection, _, response = args
        request = vars(future).get(STATE_ATTRIBUTE)
        if request is None or self.recorder is None:
            return
        request.state = state = self._state_of(connection)
        request.received = state.received
        rows, warnings = getattr(response, "parsed_rows", None), getattr(response, "warnings", None)
        request.rows = len(rows) if isinstance(rows, (list, tuple)) else UNKNOWN
        request.notices = len(warnings) if isinstance(warnings, (list, tuple)) else 0
        code = getattr(response, "code", None)
        request.code = code if isinstance(code, int) and isinstance(response, Exception) else None

    @never_breaks_the_host
    def on_result(self, future: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Record a request that has its result, before the app wakes up."""
        self._end_request(future, None)

    @never_breaks_the_host
    def on_exception(self, future: Any, args: Args, kwargs: Kwargs) -> None:
        """Record a request that has failed, likewise."""
        self._end_request(future, args[0] if args else kwargs["response"])

    def _end_request(self, future: Any, error: Error) -> None:
        request = vars(future).pop(STATE_ATTRIBUTE, None)
        if request is None or self.recorder is None:
            return
        sent = future.request_encoded_size
        is_known = request.received and isinstance(sent, int)
        more: dict[str, Any] = {"estimated": (sent, request.received)} if is_known else {}
        self.recorder.record_call(
            self._session_of(future, request), request.operation, start_ns=request.start_ns, sql=request.sql,
            rows_returned=request.rows if error is None else UNKNOWN, error=error, facts=request.facts(),
            caller=request.caller, **more,
        )  # fmt: skip

    def _session_of(self, future: Any, request: InFlightRequest) -> Session:
        connection = future._connection
        state = request.state if connection is None else self._state_of(connection)
        if state is None:
            return describe_cluster(future.session.cluster, future.session.keyspace)
        keyspace = future.session.keyspace if connection is None else connection.keyspace
        return state.refresh_session(future._current_host, keyspace)

    # --- the cluster ---

    @never_breaks_the_host
    def on_nodes_end(self, control: Any, token: Any, _result: Any, error: Error) -> None:
        """Record the cluster's nodes, which the control connection has read."""
        if self.recorder is None or error is not None:
            return
        connection, cluster, nodes = token[1][0], control._cluster, list[str]()
        local = cluster.metadata.get_host(connection.endpoint)
        for host in cluster.metadata.all_hosts():
            if host is local and host.broadcast_rpc_address:
                nodes.append(address(host.broadcast_rpc_address, host.broadcast_rpc_port or connection.endpoint.port))
            else:
                nodes.append(address(host.endpoint.address, host.endpoint.port))
        session = self._state_of(connection).refresh_session(local, connection.keyspace)
        self.recorder.record_call(
            session, "metadata", statement="metadata", start_ns=time_ns(), facts=topology_facts(nodes)
        )

    @never_breaks_the_host
    def on_push(self, connection: Any, args: Args, _kwargs: Kwargs) -> None:
        """Record a message without a request: nodes that come and go, a changed schema."""
        kind = getattr(args[0], "event_type", None)
        if self.recorder is not None and kind in _PUSHES:
            session = self._state_of(connection).session
            self.recorder.record_call(
                session, kind, statement=kind, start_ns=time_ns(), facts=notice_facts(1), kind=CONSUMER
            )  # fmt: skip
