"""The call observer of pymongo: connects, commands, cursor batches, bulk writes, heartbeats. All hooks are guarded.

Commands of a connection's own start (HELLO, SASL) are part of the call ``connect``. The driver also keeps connections
that monitor its servers. Their connects are recorded; their heartbeats only if the announced nodes have changed, or if
one fails.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.documents.mongo_signs import signs_of_native
from backwatch.collector.documents.shown import sign_facts, with_signs
from backwatch.collector.exposure.observation import received_value_facts, sent_value_facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymongo.responses import (
    documents_in,
    error_code,
    rows_affected,
    rows_returned,
    status_facts,
    written_documents,
)
from backwatch.collector.probes.pymongo.seeds import SeedObserver
from backwatch.collector.probes.pymongo.session import (
    HELLO,
    hello_facts,
    requested_facts,
    server_id_of,
    session_of,
    transport_of,
)
from backwatch.collector.probes.pymongo.state import (
    InFlightMongoCommand,
    MongoConnectAttempt,
    MongoConnectionState,
    Purpose,
    current_attempt,
    unpacked_sizes,
)
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, argument
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, words
from backwatch.collector.redaction import mongo as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_SESSIONS: Final = 64
"""Databases of one connection whose sessions are kept."""
MAX_SIZES: Final = 16


class MongoCallObserver(SwitchableObserver):
    """The call observer of pymongo's pools, connections, cursors and bulk writes."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.seeds = SeedObserver(recorder)

    def disable(self) -> None:
        """Record nothing from now on, look-ups included: the probe is removed."""
        super().disable()
        self.seeds.disable()

    def _state(self, connection: Any) -> MongoConnectionState:
        state: MongoConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None or state.observer is not self:
            state = connection.__dict__[STATE_ATTRIBUTE] = MongoConnectionState(self)
            attempt = current_attempt.get()
            state.wire = SocketCounters(descriptor(transport_of(connection)[0]))
            if attempt is not None and connection.pool_ref() is attempt.pool:
                state.attempt, attempt.connection = attempt, connection
            else:
                state.wire.read_delta()  # bytes from before the probe belong to no recorded call
        return state

    def _session(self, connection: Any, state: MongoConnectionState, database: object) -> Session:
        name = words(database, 64)
        session = state.sessions.get(name)
        if session is None:
            first = next(iter(state.sessions.values()), None)
            if first is not None:
                session = replace(first, namespace=name, encoded=[])
            else:
                session = session_of(connection, state.login, name, state.version, state.server_id)
            remember(state.sessions, name, session, MAX_SESSIONS)
        return session

    # --- connects ---

    @never_breaks_the_host
    def on_connect(self, pool: Any, _args: Any, _kwargs: Any) -> MongoConnectAttempt | None:
        """Handle a pool that is about to make a connection."""
        return MongoConnectAttempt(pool) if self.active else None

    @never_breaks_the_host
    def on_connect_end(self, pool: Any, attempt: MongoConnectAttempt, connection: Any, error: Error) -> None:
        """Record a connect; a monitor's later, when it has received a reply."""
        if error is not None:
            self._record_failed_connect(pool, attempt, error)
            return
        state = self._state(connection)
        state.attempt = None
        if attempt.has_hello:
            self._record_connect(connection, state, attempt.start_ns)
        else:
            state.monitor_start_ns = attempt.start_ns
            state.wire = SocketCounters(descriptor(transport_of(connection)[0]))

    def _record_connect(self, connection: Any, state: MongoConnectionState, start_ns: int) -> None:
        state.sessions.clear()  # the login has changed them
        if self.active:
            session = self._session(connection, state, "")
            self.recorder.record_call(session, "connect", start_ns=start_ns, wire=state.wire, facts=state.announced)

    def _record_failed_connect(self, pool: Any, attempt: MongoConnectAttempt, error: BaseException) -> None:
        """Record a failed connect, TLS handshake or login, with the facts that were known by then."""
        connection = attempt.connection
        state: MongoConnectionState | None = None
        if connection is not None:
            state = connection.__dict__.get(STATE_ATTRIBUTE)
        session = next(iter(state.sessions.values()), None) if state is not None else None
        if session is None:
            session = Session(system="mongodb", **requested_facts(pool.address, pool.opts))
        if state is not None:
            session = replace(session, encoded=[], **state.login.facts(pool.opts))
        if self.active:
            start_ns, facts = attempt.start_ns, status_facts(error)
            self.recorder.record_call(session, "connect", start_ns=start_ns, error=root_error(error), facts=facts)

    # --- commands ---

    @never_breaks_the_host
    def on_command(self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> InFlightMongoCommand | None:
        """Handle a command that a connection is about to send."""
        if not self.active:
            return None
        state = self._state(connection)
        document = argument(args, kwargs, 1, "spec")
        command = InFlightMongoCommand(connection, argument(args, kwargs, 0, "dbname"), document)
        if state.attempt is not None:
            state.login.add_command(document)
            self._session(connection, state, "")  # if the login fails, these are the known facts
            command.purpose = Purpose.HANDSHAKE
        elif kwargs.get("publish_events", True) is False and next(iter(document), None) in HELLO:
            command.purpose = Purpose.HEARTBEAT
        return self._begin(command)

    def _begin(self, command: InFlightMongoCommand) -> InFlightMongoCommand:
        if command.connection.compression_context is not None:
            unpacked_sizes.set(command.unpacked)
        return command

    @never_breaks_the_host
    def on_wait(self, connection: Any, _args: Any, _kwargs: Any) -> InFlightMongoCommand | None:
        """Handle a monitor that waits for the server's next announcement."""
        return InFlightMongoCommand(connection, "", None, Purpose.HEARTBEAT) if self.active else None

    @never_breaks_the_host
    def on_command_end(self, connection: Any, command: InFlightMongoCommand, reply: Any, error: Error) -> None:
        """Handle the reply to a command, or its error."""
        state = self._state(connection)
        if command.purpose is Purpose.CALL:
            self._record_command(command, reply, error)
        elif command.purpose is Purpose.HEARTBEAT:
            self._on_heartbeat(connection, state, command, reply, error)
        elif error is None:  # else the failed connect is recorded
            state.login.add_reply(command.command, reply)
            if next(iter(command.command)) in HELLO and state.attempt is not None:
                state.attempt.has_hello = True
                self._update_nodes(connection, state, reply)

    # --- heartbeats ---

    def _update_nodes(self, connection: Any, state: MongoConnectionState, hello: Any) -> bool:
        """Keep the nodes that a HELLO announces; return whether they have changed."""
        if not isinstance(hello, Mapping):
            return False
        facts = hello_facts(hello, connection.address)
        server_id = server_id_of(hello)
        changed = facts != state.announced or server_id != state.server_id
        if server_id != state.server_id:
            state.server_id = server_id
            state.sessions.clear()
        state.announced = facts
        return changed

    def _on_heartbeat(
        self, connection: Any, state: MongoConnectionState, command: InFlightMongoCommand, hello: Any, error: Error
    ) -> None:
        if type(error).__name__ == "_OperationCancelled":
            return  # the app closes its client
        start_ns, state.monitor_start_ns = state.monitor_start_ns, 0
        if error is not None:
            command.start_ns = start_ns or command.start_ns
            operation = "connect" if start_ns else "hello"
            self._record(command, operation, error=root_error(error), facts=status_facts(error))
        elif self._update_nodes(connection, state, hello) and not start_ns:
            self._record(command, "hello", facts=state.announced)
        elif start_ns:
            self._record_connect(connection, state, start_ns)

    # --- cursors and bulk writes ---

    @never_breaks_the_host
    def on_fetch(self, _owner: Any, args: tuple[Any, ...], _kwargs: Any) -> InFlightMongoCommand | None:
        """Handle ``run_operation(connection, operation, …)``: the first batch of a cursor, or a later one."""
        if not self.active:
            return None
        connection, operation = args[0], args[1]
        command = InFlightMongoCommand(connection, operation.db, None)
        command.operation = operation
        self._state(connection)
        return self._begin(command)

    @never_breaks_the_host
    def on_fetch_end(self, _owner: Any, command: InFlightMongoCommand, response: Any, error: Error) -> None:
        """Record a batch of a cursor."""
        documents = getattr(response, "docs", None)
        reply = documents[0] if documents and isinstance(documents[0], Mapping) else None
        self._record_command(command, reply, error)

    @never_breaks_the_host
    def on_write(self, _owner: Any, args: tuple[Any, ...], _kwargs: Any) -> InFlightMongoCommand | None:
        """Handle ``write_command(context, command, …)``: one batch of a bulk write."""
        return self._begin_write(args[0], args[1])

    @never_breaks_the_host
    def on_context_write(self, context: Any, args: tuple[Any, ...], _kwargs: Any) -> InFlightMongoCommand | None:
        """Handle the same as a method of the context (until pymongo 4.8)."""
        return self._begin_write(context, args[0])

    def _begin_write(self, context: Any, document: Any) -> InFlightMongoCommand | None:
        if not self.active:
            return None
        connection = getattr(context, "conn", None) or context.sock_info
        command = InFlightMongoCommand(connection, context.db_name, document)
        self._state(connection)
        return self._begin(command)

    @never_breaks_the_host
    def on_write_end(self, _owner: Any, command: InFlightMongoCommand, reply: Any, error: Error) -> None:
        """Record one batch of a bulk write; there is no reply if the app wants none."""
        inner = reply.get("error") if isinstance(reply, Mapping) else None
        self._record_command(command, reply, inner if isinstance(inner, BaseException) else error)

    # --- records ---

    @never_breaks_the_host
    def on_decompress_end(self, _owner: None, token: Any, result: Any, error: Error) -> None:
        """Count a compressed reply that was unpacked."""
        sizes = unpacked_sizes.get()
        if error is None and sizes is not None and len(sizes) < MAX_SIZES:
            sizes.append((len(token[1][0]), len(result)))

    def _record_command(self, command: InFlightMongoCommand, reply: Any, error: BaseException | str | None) -> None:
        document = command.command
        if command.operation is not None:
            # What the cursor has sent: the driver keeps it in the operation, and makes it nowhere else.
            sent = getattr(command.operation, "_as_command", None)
            document = sent[0] if sent else {command.operation.name: command.operation.coll}
        operation = redact.get_command_name(document)
        returned = affected = -1
        if isinstance(reply, Mapping):
            returned, affected = rows_returned(reply), rows_affected(operation, reply)
            error = error or error_code(reply) or None
        statement = redact.to_statement(document)
        signs = signs_of_native(document, statement)
        self._record(
            command, operation, statement=with_signs(statement, signs), rows_returned=returned, rows_affected=affected,
            error=error,
            facts=(
                *status_facts(error), *_size_facts(command), *sign_facts(signs),
                *sent_value_facts(statement, written_documents(document)),
                *received_value_facts(statement, documents_in(reply)),
            ),
        )  # fmt: skip
        if operation in ("buildInfo", "buildinfo") and isinstance(reply, Mapping) and error is None:
            state = self._state(command.connection)
            state.version = words(reply.get("version"), 40)
            state.sessions.clear()

    def _record(self, command: InFlightMongoCommand, operation: str, **more: Any) -> None:
        if not self.active:
            return  # the driver's own threads continue
        connection = command.connection
        state = self._state(connection)
        self.recorder.record_call(
            self._session(connection, state, command.database), operation, start_ns=command.start_ns,
            # A closed connection's descriptor may be reused.
            wire=None if connection.closed else state.wire, **more,
        )  # fmt: skip


def _size_facts(command: InFlightMongoCommand) -> Facts:
    if not command.unpacked:
        return ()
    return (
        (names.PAYLOAD_WIRE, sum(packed for packed, _ in command.unpacked)),
        (names.PAYLOAD_SIZE, sum(unpacked for _, unpacked in command.unpacked)),
    )
