"""The reports of the Cassandra driver: connections to nodes, requests and their pages, the cluster's nodes, pushes.

A request begins on the app's thread and ends on the driver's own; what is known of it in between hangs on its future.
What the driver asks for itself (schema, nodes, heartbeats) goes past its futures and is no call of the app's.
"""

import threading
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.cassandra.session import NodeLink, asked_of, session_of, with_login
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Watch
from backwatch.collector.probes.toolkit.nodes import address, announced
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.redaction import cql
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Caller, Session
from backwatch.collector.session.socket_counters import SocketCounters

Error = BaseException | None

HEADER_BYTES: Final = 9
_VERSION_REFUSED: Final[Facts] = ((names.STATUS_CODE, "0x000a"),)
_PUSHES: Final = frozenset(("TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"))


class Pending:
    """A request on its way, or one page of it.

    Attributes:
        rows, code, notices, received: What its last answer said.
        link: The connection that the answer came by.
    """

    __slots__ = ("caller", "code", "link", "notices", "operation", "received", "rows", "sql", "start_ns")

    def __init__(self, operation: str, sql: str | None, caller: Caller | None) -> None:
        self.operation = operation
        self.sql = sql
        self.caller = caller
        self.start_ns = time_ns()
        self.link: NodeLink | None = None
        self.rows = UNKNOWN
        self.received = 0
        self.notices = 0
        self.code: int | None = None

    def facts(self) -> Facts:
        """What is told only where there is something to tell."""
        facts: Facts = ((names.NOTICES, self.notices),) if self.notices else ()
        return facts if self.code is None else (*facts, (names.STATUS_CODE, f"0x{self.code:04x}"))


def _in_batch(query: Any, cluster: Any) -> str:
    prepared, texts = cluster._prepared_statements, list[str]()
    for is_prepared, text, _ in query._statements_and_parameters[: cql.MAX_STATEMENTS]:
        known = prepared.get(text) if is_prepared else None
        texts.append(text if isinstance(text, str) else getattr(known, "query_string", ""))
    return cql.batch(texts)


def asked(future: Any) -> tuple[str, str | None]:
    """Operation and statement of a request; an empty operation is the statement's first word."""
    query = future.query
    if query is None:
        return "PREPARE", cql.plain(future.message.query)
    prepared = getattr(query, "prepared_statement", None)
    if prepared is not None:
        return "", cql.plain(prepared.query_string)
    if hasattr(query, "_statements_and_parameters"):
        return "BATCH", _in_batch(query, future.session.cluster)
    kinds = type(query).__mro__
    if kinds[0].__name__ != "SimpleStatement" and any(kind.__name__ == "GraphStatement" for kind in kinds):
        return "GRAPH", None  # Gremlin, which no scanner of ours reads
    return "", cql.plain(query.query_string)


class CassandraWatch(Watch):
    """Follows connections and futures."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder)
        self.attempts = threading.local()

    # --- connections ---

    @never_breaks_the_host
    def reaching(self, connection: Any) -> None:
        """A socket is about to be opened for this connection."""
        self.attempts.connection = connection

    @never_breaks_the_host
    def refused(self, error: BaseException) -> None:
        """One address of a node could not be connected to; the driver goes on, and drops what went wrong."""
        if root_error(error).__class__.__module__ == "ssl":
            self.attempts.error = error

    @never_breaks_the_host
    def reached(self, connection: Any) -> None:
        """The socket stands, with TLS where TLS is spoken; the login comes next."""
        if self.recorder is not None:
            session = session_of(connection, ready=False)
            vars(connection)[KEY] = NodeLink(session, SocketCounters(descriptor(connection._socket)))

    @never_breaks_the_host
    def connecting(self) -> None:
        """A connection is wanted, on this thread."""
        self.attempts.connection = self.attempts.error = None

    @never_breaks_the_host
    def connected(self, connection: Any, start_ns: int, error: Error) -> None:
        """A connection has logged in, or it failed (``None``: the one that was last about to be opened here)."""
        found = connection if connection is not None else self.attempts.connection
        below, self.attempts.connection, self.attempts.error = self.attempts.error, None, None
        if self.recorder is None or found is None:
            return
        link = vars(found).get(KEY)
        if error is not None:
            session = with_login(found, link.session) if link is not None else session_of(found, ready=False)
            if found.is_unsupported_proto_version:
                # The driver asks for versions that a node refuses, one after the other, whenever it starts.
                self.recorder.record_call(session, "negotiate", start_ns=start_ns, facts=_VERSION_REFUSED)
            else:
                self.recorder.record_call(session, "connect", start_ns=start_ns, error=root_error(below or error))
            return
        session = session_of(found, ready=True)
        if link is None:  # Twisted, which connects by itself
            link = vars(found)[KEY] = NodeLink(session, None)
        link.session = session
        self.tell(link, "connect", start_ns)

    def _link(self, connection: Any) -> NodeLink:
        link = vars(connection).get(KEY)
        if link is None:  # older than this probe
            link = vars(connection)[KEY] = NodeLink(session_of(connection, ready=True), None)
        return link

    @never_breaks_the_host
    def received(self, connection: Any, body: Any) -> None:
        """A message is about to be taken in."""
        link = vars(connection).get(KEY)
        if link is not None:
            link.received = HEADER_BYTES + len(body)

    # --- requests ---

    @never_breaks_the_host
    def sending(self, future: Any) -> None:
        """A request, or the next page of one, is about to be sent; a second attempt of the same is none."""
        if self.recorder is None or vars(future).get(KEY) is not None:
            return
        operation, sql = asked(future)
        operation = operation if future._paging_state is None else "FETCH"
        vars(future)[KEY] = Pending(operation, sql, self.recorder.capture_caller())

    @never_breaks_the_host
    def answered(self, future: Any, connection: Any, response: Any) -> None:
        """A node's answer, or why there is none."""
        pending = vars(future).get(KEY)
        if pending is None or self.recorder is None:
            return
        pending.link = link = self._link(connection)
        pending.received = link.received
        rows = getattr(response, "parsed_rows", None)
        pending.rows = len(rows) if isinstance(rows, (list, tuple)) else UNKNOWN
        warnings = getattr(response, "warnings", None)
        pending.notices = len(warnings) if isinstance(warnings, (list, tuple)) else 0
        code = getattr(response, "code", None)
        pending.code = code if isinstance(code, int) and isinstance(response, Exception) else None

    @never_breaks_the_host
    def ended(self, future: Any, error: Error) -> None:
        """The request has its result or its error; told once, and before the app wakes up."""
        pending = vars(future).pop(KEY, None)
        if pending is None or self.recorder is None:
            return
        sent = future.request_encoded_size
        known = pending.received and isinstance(sent, int)
        more: dict[str, Any] = {"estimated": (sent, pending.received)} if known else {}
        self.recorder.record_call(
            self._session(future, pending), pending.operation, start_ns=pending.start_ns, sql=pending.sql,
            rows_returned=pending.rows if error is None else UNKNOWN, error=error, facts=pending.facts(),
            caller=pending.caller, **more,
        )  # fmt: skip

    def _session(self, future: Any, pending: Pending) -> Session:
        connection = future._connection
        link = pending.link if connection is None else self._link(connection)
        if link is None:
            return asked_of(future.session.cluster, future.session.keyspace)
        keyspace = future.session.keyspace if connection is None else connection.keyspace
        return link.session_on(future._current_host, keyspace)

    # --- what the cluster says ---

    @never_breaks_the_host
    def announced(self, control: Any, connection: Any) -> None:
        """The control connection has read which nodes there are."""
        if self.recorder is None:
            return
        link, cluster, nodes = self._link(connection), control._cluster, list[str]()
        local = cluster.metadata.get_host(connection.endpoint)
        for host in cluster.metadata.all_hosts():
            if host is local and host.broadcast_rpc_address:
                port = host.broadcast_rpc_port or connection.endpoint.port
                nodes.append(address(host.broadcast_rpc_address, port))
            else:
                nodes.append(address(host.endpoint.address, host.endpoint.port))
        session = link.session_on(local, connection.keyspace)
        facts = announced(nodes)
        self.recorder.record_call(session, "metadata", statement="metadata", start_ns=time_ns(), facts=facts)

    @never_breaks_the_host
    def pushed(self, connection: Any, response: Any) -> None:
        """A node says something unasked: nodes that come and go, a changed schema."""
        kind = getattr(response, "event_type", None)
        if self.recorder is not None and kind in _PUSHES:
            session = self._link(connection).session
            facts = ((names.NOTICES, 1),)
            self.recorder.record_call(session, kind, statement=kind, start_ns=time_ns(), facts=facts, kind=CONSUMER)
