"""What goes by on pymongo's connections: commands, batches of cursors, bulk writes, and the making of connections.

Commands of a connection's own start (HELLO, SASL) are part of the call ``connect``. The driver also keeps connections
to watch over its servers: those are told when they are made, and their heartbeats only where what the server announces
has changed, or where one fails. Everything here is bookkeeping, and guarded.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymongo.replies import error_of, rows_affected, rows_returned, status
from backwatch.collector.probes.pymongo.session import (
    HELLO,  # fmt: skip
    asked,
    hello_facts,
    server_id_of,
    session_of,
    transport_of,
)
from backwatch.collector.probes.pymongo.state import CONNECTING, UNPACKING, Connecting, Exchange, State
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, words
from backwatch.collector.redaction import mongo as redact
from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

KEY: Final = "_backwatch_state"
"""Where a connection object keeps its :class:`State`."""
MAX_SESSIONS: Final = 64
"""Databases of one connection whose sessions are remembered."""
MAX_SIZES: Final = 16


class Watch:
    """The connections of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.active = True

    def _state(self, connection: Any) -> State:
        state: State | None = connection.__dict__.get(KEY)
        if state is None or state.watch is not self:
            state = connection.__dict__[KEY] = State(self)
            connecting = CONNECTING.get()
            state.wire = SocketCounters(descriptor(transport_of(connection)[0]))
            if connecting is not None and connection.pool_ref() is connecting.pool:
                state.connecting, connecting.connection = connecting, connection
            else:
                state.wire.read_delta()  # what went by before we came belongs to no call of ours
        return state

    def _session(self, connection: Any, state: State, database: object) -> Session:
        name = words(database, 64)
        session = state.sessions.get(name)
        if session is None:
            if len(state.sessions) >= MAX_SESSIONS:
                state.sessions.clear()
            first = next(iter(state.sessions.values()), None)
            if first is not None:
                session = replace(first, namespace=name, encoded=[])
            else:
                session = session_of(connection, state.login, name, state.version, state.server_id)
            state.sessions[name] = session
        return session

    # --- connect ---

    @never_breaks_the_host
    def connecting(self, pool: Any, _args: Any, _options: Any) -> Connecting | None:
        """A pool is about to make a connection."""
        if not self.active:
            return None
        token = Connecting(pool)
        token.reset = CONNECTING.set(token)
        return token

    @never_breaks_the_host
    def connected(self, _pool: Any, token: Connecting, connection: Any) -> None:
        """It is made; a watcher's has not spoken yet."""
        reset_variable(CONNECTING, token.reset)
        state = self._state(connection)
        state.connecting = None
        if not token.greeted:
            state.unmade_ns = token.start_ns
            state.wire = SocketCounters(descriptor(transport_of(connection)[0]))
            return
        self._made(connection, state, token.start_ns)

    def _made(self, connection: Any, state: State, start_ns: int) -> None:
        state.sessions.clear()  # what the login changed
        if not self.active:
            return
        self.recorder.record_call(
            self._session(connection, state, ""), "connect", start_ns=start_ns, wire=state.wire, facts=state.announced
        )

    @never_breaks_the_host
    def connect_failed(self, pool: Any, token: Connecting, error: BaseException) -> None:
        """The connection, its TLS or its login failed; what was known when it broke is told."""
        reset_variable(CONNECTING, token.reset)
        state: State | None = token.connection.__dict__.get(KEY) if token.connection is not None else None
        session = next(iter(state.sessions.values()), None) if state is not None else None
        if session is None:
            session = Session(system="mongodb", **asked(pool.address, pool.opts))
        if state is not None:
            session = replace(session, encoded=[], **state.login.of(pool.opts))
        if not self.active:
            return
        self.recorder.record_call(
            session, "connect", start_ns=token.start_ns, error=root_error(error), facts=status(error)
        )

    # --- commands ---

    @never_breaks_the_host
    def commanding(self, connection: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Exchange | None:
        """``command(database, document, …)`` of a connection."""
        if not self.active:
            return None
        state = self._state(connection)
        command: Any = args[1] if len(args) > 1 else options.get("spec")
        exchange = Exchange(connection, args[0] if args else options.get("dbname"), command)
        if state.connecting is not None:
            state.login.sent(command)
            self._session(connection, state, "")  # should the login fail, this is what we know
            exchange.kind = "handshake"
        elif options.get("publish_events", True) is False and next(iter(command), None) in HELLO:
            exchange.kind = "heartbeat"
        return self._listening(exchange)

    def _listening(self, exchange: Exchange) -> Exchange:
        if exchange.connection.compression_context is not None:
            UNPACKING.set(exchange.unpacked)
        return exchange

    @never_breaks_the_host
    def answered(self, connection: Any, exchange: Exchange, reply: Any) -> None:
        """The reply to a command."""
        state = self._state(connection)
        if exchange.kind == "heartbeat":
            self._heartbeat(connection, state, exchange, reply)
        elif exchange.kind == "handshake":
            state.login.answered(exchange.command, reply)
            if next(iter(exchange.command)) in HELLO and state.connecting is not None:
                state.connecting.greeted = True
                self._greeted(connection, state, reply)
        else:
            self._report(connection, state, exchange, reply)

    @never_breaks_the_host
    def failed(self, connection: Any, exchange: Exchange, error: BaseException) -> None:
        """The command failed, or its answer was an error."""
        state = self._state(connection)
        if exchange.kind == "handshake":
            return  # ``connect_failed`` tells it
        if exchange.kind == "heartbeat":
            self._heartbeat_failed(connection, state, exchange, error)
            return
        self._report(connection, state, exchange, None, error)

    # --- heartbeats ---

    def _greeted(self, connection: Any, state: State, hello: Any) -> bool:
        """What a HELLO says; true where it is not what the last one said."""
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

    def _heartbeat(self, connection: Any, state: State, exchange: Exchange, hello: Any) -> None:
        start_ns, state.unmade_ns = state.unmade_ns, 0
        if self._greeted(connection, state, hello) and not start_ns:
            self._tell(connection, state, exchange, "hello", facts=state.announced)
        elif start_ns:
            self._made(connection, state, start_ns)

    def _heartbeat_failed(self, connection: Any, state: State, exchange: Exchange, error: BaseException) -> None:
        if type(error).__name__ == "_OperationCancelled":
            return  # the app closes its client
        start_ns, state.unmade_ns = state.unmade_ns, 0
        exchange.start_ns = start_ns or exchange.start_ns
        word = "connect" if start_ns else "hello"
        self._tell(connection, state, exchange, word, error=root_error(error), facts=status(error))

    @never_breaks_the_host
    def awaiting(self, connection: Any, _args: Any, _options: Any) -> Exchange | None:
        """A watcher waits for the server to announce something."""
        return Exchange(connection, "", None, "heartbeat") if self.active else None

    # --- cursors and bulk writes ---

    @never_breaks_the_host
    def fetching(self, _owner: Any, args: tuple[Any, ...], _options: dict[str, Any]) -> Exchange | None:
        """``run_operation(connection, operation, …)``: the first batch of a cursor, or one more."""
        if not self.active:
            return None
        connection, operation = args[0], args[1]
        exchange = Exchange(connection, operation.db, None)
        exchange.operation = operation
        self._state(connection)
        return self._listening(exchange)

    @never_breaks_the_host
    def fetched(self, _owner: Any, exchange: Exchange, response: Any) -> None:
        """The batch is there."""
        docs = getattr(response, "docs", None)
        reply = docs[0] if docs and isinstance(docs[0], Mapping) else None
        self._report(exchange.connection, self._state(exchange.connection), exchange, reply)

    @never_breaks_the_host
    def of_exchange_failed(self, _owner: Any, exchange: Exchange, error: BaseException) -> None:
        """It failed."""
        self._report(exchange.connection, self._state(exchange.connection), exchange, None, error)

    @never_breaks_the_host
    def writing(self, _owner: Any, args: tuple[Any, ...], _options: dict[str, Any]) -> Exchange | None:
        """``write_command(context, command, …)``: one batch of a bulk write."""
        return self._writing(args[0], args[1])

    @never_breaks_the_host
    def writing_in_context(self, context: Any, args: tuple[Any, ...], _options: dict[str, Any]) -> Exchange | None:
        """The same where it is a method of the context (until pymongo 4.8)."""
        return self._writing(context, args[0])

    def _writing(self, context: Any, command: Any) -> Exchange | None:
        if not self.active:
            return None
        connection = getattr(context, "conn", None) or context.sock_info
        exchange = Exchange(connection, context.db_name, command)
        self._state(connection)
        return self._listening(exchange)

    @never_breaks_the_host
    def written(self, _owner: Any, exchange: Exchange, reply: Any) -> None:
        """Its answer; none where the app wants none."""
        error = reply.get("error") if isinstance(reply, Mapping) else None
        error = error if isinstance(error, BaseException) else None
        self._report(exchange.connection, self._state(exchange.connection), exchange, reply, error)

    # --- telling ---

    @never_breaks_the_host
    def unpacked(self, wire: int, size: int) -> None:
        """A compressed answer was unpacked."""
        sizes = UNPACKING.get()
        if sizes is not None and len(sizes) < MAX_SIZES:
            sizes.append((wire, size))

    def _report(
        self, connection: Any, state: State, exchange: Exchange, reply: Any, error: BaseException | str | None = None
    ) -> None:
        command = exchange.command
        if exchange.operation is not None:
            # What it sent: kept by the operation, made by nobody but the driver.
            made = getattr(exchange.operation, "_as_command", None)
            command = made[0] if made else {exchange.operation.name: exchange.operation.coll}
        operation = redact.get_command_name(command)
        returned = affected = -1
        if isinstance(reply, Mapping):
            returned, affected = rows_returned(reply), rows_affected(operation, reply)
            error = error or error_of(reply) or None
        self._tell(
            connection, state, exchange, operation, statement=redact.to_statement(command), rows_returned=returned,
            rows_affected=affected, error=error, facts=(*status(error), *_sizes(exchange)),
        )  # fmt: skip
        if operation in ("buildInfo", "buildinfo") and isinstance(reply, Mapping) and error is None:
            state.version = words(reply.get("version"), 40)
            state.sessions.clear()

    def _tell(self, connection: Any, state: State, exchange: Exchange, operation: str, **told: Any) -> None:
        if not self.active:
            return  # the driver's own threads go on
        self.recorder.record_call(
            self._session(connection, state, exchange.database), operation, start_ns=exchange.start_ns,
            # Once closed, its number may name another connection.
            wire=None if connection.closed else state.wire, **told,
        )  # fmt: skip


def _sizes(exchange: Exchange) -> Facts:
    if not exchange.unpacked:
        return ()
    return (
        (names.PAYLOAD_WIRE, sum(wire for wire, _ in exchange.unpacked)),
        (names.PAYLOAD_SIZE, sum(size for _, size in exchange.unpacked)),
    )
