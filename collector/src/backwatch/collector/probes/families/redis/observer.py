"""The observer of Redis connections: it matches replies to commands and follows the session.

Redis replies in order, so commands wait in a queue until their replies have been read. Commands of the connection's
own start (HELLO, AUTH, CLIENT SETINFO, SELECT) are part of the call ``connect``. All hooks are guarded.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.exposure.observation import received_value_facts, sent_value_facts
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.payload.written import written_facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.redis.claims import ClaimedCommand, current_claim
from backwatch.collector.probes.families.redis.nodes import ANNOUNCING_COMMANDS, node_facts
from backwatch.collector.probes.families.redis.responses import count_members, error_facts, is_error_reply, merge_facts
from backwatch.collector.probes.families.redis.session import (
    RedisLogin,
    carrier_of,
    info_facts,
    login_facts,
    session_of,
    socket_of,
)
from backwatch.collector.probes.families.redis.state import InFlightCommands, RedisConnectionState
from backwatch.collector.probes.families.redis.statements import (
    SUBSCRIPTIONS,
    WRITING_COMMANDS,
    describe_command,
    describe_pipeline,
    name_of,
    written_values,
)
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_PENDING_COMMANDS: Final = 1_000
_MESSAGES: Final = frozenset(("message", "pmessage", "smessage"))
_ACKNOWLEDGEMENTS: Final = frozenset(
    ("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe")
)
_SESSION_COMMANDS: Final = frozenset(("AUTH", "HELLO", "SELECT", "RESET", "INFO"))


class RedisCallObserver(SwitchableObserver):
    """The call observer of one probe: redis-py or valkey-py."""

    def __init__(self, recorder: Recorder, tls_classes: tuple[type, ...], system: str) -> None:
        self.recorder = recorder
        self.system = system
        self.tls_classes = tls_classes

    def _state(self, connection: Any) -> RedisConnectionState:
        state: RedisConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        return state if state is not None and state.observer is self else self._new_state(connection)

    def _new_state(self, connection: Any) -> RedisConnectionState:
        state = connection.__dict__[STATE_ATTRIBUTE] = RedisConnectionState(self)
        return state

    def _read_session(self, connection: Any, state: RedisConnectionState) -> Session:
        state.session = session_of(connection, self.tls_classes, state.login, self.system)
        return state.session

    def _session(self, connection: Any, state: RedisConnectionState) -> Session:
        """Return the session; read it now if the connection is older than this probe."""
        if state.session is not None:
            return state.session
        session = self._read_session(connection, state)
        self._start_counting(connection, state)
        if state.wire is not None:
            state.wire.read_delta()  # bytes from before the probe belong to no recorded call
        return session

    def _start_counting(self, connection: Any, state: RedisConnectionState) -> None:
        state.carrier_id = id(carrier_of(connection))
        state.wire = SocketCounters(socket_of(connection)[1])

    def _open_wire(self, connection: Any, state: RedisConnectionState) -> SocketCounters | None:
        """Return the byte counters of an open connection; a closed one's descriptor may be reused."""
        return state.wire if state.carrier_id == id(carrier_of(connection)) else None

    # --- connects ---

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Any, _options: Any) -> RedisConnectionState | None:
        """Handle the start of a connect; return ``None`` if the connection is open already."""
        if not self.active or socket_of(connection)[0] is not None:
            return None
        state = self._new_state(connection)
        state.connecting_ns = time.time_ns()
        return state

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, state: RedisConnectionState, _result: Any, error: Error) -> None:
        """Record a connect, its TLS handshake and login included."""
        start_ns, state.connecting_ns = state.connecting_ns, 0
        if error is None:
            session = self._read_session(connection, state)
            self._start_counting(connection, state)
            self.recorder.record_call(session, "connect", start_ns=start_ns, wire=state.wire)
            return
        state.failure_id = id(error)
        session = state.session or session_of(connection, self.tls_classes, state.login, self.system)
        state.session = None
        self.recorder.record_call(
            session, "connect", start_ns=start_ns, error=root_error(error), facts=error_facts(error, session),
        )  # fmt: skip

    # --- commands ---

    @never_breaks_the_host
    def on_command(self, connection: Any, command: tuple[object, ...], _options: Any) -> InFlightCommands | None:
        """Handle one command that is about to be written."""
        if not self.active:
            return None
        state: RedisConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None or state.observer is not self:
            state = self._new_state(connection)
        name = name_of(command)
        if state.connecting_ns:
            state.subscribed |= name in SUBSCRIPTIONS
            state.login.add_command(command)
            if state.session is None:
                # The connection is open; if the login fails, these are the facts of the failed connect.
                self._read_session(connection, state)
            return None
        state.single, state.packed = True, None
        if state.session is None and socket_of(connection)[0] is not None:
            self._session(connection, state)
        return InFlightCommands((command,), name, time.time_ns())

    @never_breaks_the_host
    def on_pack(self, connection: Any, commands: Sequence[Sequence[object]]) -> None:
        """Handle commands that were encoded; they are written next."""
        if not self.active:
            return
        state = self._state(connection)
        if not state.single and not state.connecting_ns:
            state.packed = tuple(commands)

    @never_breaks_the_host
    def on_packed_command(self, connection: Any, _args: Any, _options: Any) -> InFlightCommands | None:
        """Handle encoded bytes that are about to be written: the commands packed last, if any."""
        state: RedisConnectionState | None = getattr(connection, STATE_ATTRIBUTE, None)
        if not self.active or state is None or state.packed is None:
            return None  # ``on_command`` has seen a single command already
        state = self._state(connection)
        commands, state.packed = state.packed, None
        if commands and state.session is None and socket_of(connection)[0] is not None:
            self._session(connection, state)
        return InFlightCommands(commands, "", time.time_ns()) if commands else None

    @never_breaks_the_host
    def on_send_end(self, connection: Any, commands: InFlightCommands, _result: Any, error: Error) -> None:
        """Queue written commands for their replies. Not earlier: writing may begin with the driver's own PING."""
        state: RedisConnectionState = connection.__dict__[STATE_ATTRIBUTE]
        state.single = False
        if error is None:
            if len(state.pending) < MAX_PENDING_COMMANDS:
                state.pending.append(commands)
            if commands.name in SUBSCRIPTIONS:
                state.subscribed = True
        elif state.failure_id == id(error):  # the failed ``connect`` has reported it
            state.failure_id = 0
        else:
            commands.error = error
            self._record(connection, state, commands)

    # --- replies ---

    @never_breaks_the_host
    def on_read_end(self, connection: Any, _token: Any, reply: Any, error: Error) -> None:
        """Handle a reply that was read, or the error in its place."""
        state: RedisConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if not self.active or state is None or state.observer is not self:
            return
        if error is not None:
            self._on_error(connection, state, error)
            return
        if state.connecting_ns:
            state.login.add_reply(reply)
            return
        if (state.subscribed and self._is_pushed(connection, state, reply)) or not state.pending:
            return
        commands = state.pending[0]
        if reply is not None:
            facts = detect_formats(reply)
            if facts:
                commands.facts = merge_facts(commands.facts, facts)
        if commands.name or len(commands.commands) == 1:
            if reply.__class__ is not bytes:
                commands.rows = count_members(reply)
            if commands.name in ANNOUNCING_COMMANDS:
                nodes = node_facts(commands.name, commands.commands[0], reply, self._session(connection, state))
                commands.facts = merge_facts(commands.facts, nodes)
        elif isinstance(reply, list) and commands.error is None:
            # EXEC: an error of one of its commands is among the replies.
            commands.error = next((member for member in reply if isinstance(member, Exception)), None)
        self._count_reply(connection, state, commands, reply)

    def _on_error(self, connection: Any, state: RedisConnectionState, error: BaseException) -> None:
        """Handle a reply that is an error, or that could not be read."""
        if state.connecting_ns or not state.pending:
            return
        commands = state.pending[0]
        if is_error_reply(error):
            if commands.error is None:
                commands.error = error
            commands.facts = merge_facts(commands.facts, error_facts(error, self._session(connection, state)))
            self._count_reply(connection, state, commands, None)
            return
        if state.subscribed and "Timeout" in type(error).__name__:
            return  # waiting for a message that did not come
        state.pending.clear()  # the stream of replies is broken, the driver closes the connection
        commands.error = error
        commands.facts = merge_facts(commands.facts, error_facts(error, self._session(connection, state)))
        self._record(connection, state, commands)

    def _count_reply(
        self, connection: Any, state: RedisConnectionState, commands: InFlightCommands, reply: object
    ) -> None:
        commands.missing_replies -= 1
        if commands.missing_replies <= 0:
            state.pending.popleft()
            self._record(connection, state, commands, reply)
            if commands.name in _SESSION_COMMANDS and commands.error is None:
                self._update_session(state, commands.commands[0], reply)

    def _is_pushed(self, connection: Any, state: RedisConnectionState, reply: object) -> bool:
        """Return whether a reply belongs to no command; record it if it is a message."""
        if not isinstance(reply, (list, tuple)) or len(reply) < 3:
            return reply is None or not state.pending
        word = name_of(reply[:1]).lower()
        if word in _MESSAGES:
            self.recorder.record_call(
                self._session(connection, state), "message", start_ns=time.time_ns(),
                wire=self._open_wire(connection, state), facts=detect_formats(reply[-1]), kind=CONSUMER,
            )  # fmt: skip
            return True
        if word in _ACKNOWLEDGEMENTS:
            return not (state.pending and state.pending[0].name in SUBSCRIPTIONS)
        return not state.pending

    def _record(
        self, connection: Any, state: RedisConnectionState, commands: InFlightCommands, reply: object = None
    ) -> None:
        session = state.session or self._session(connection, state)
        if commands.name:
            operation, statement = describe_command(commands.name, commands.commands[0])
        else:
            operation, statement = describe_pipeline(commands.commands)
        claim = current_claim()
        if claim is not None and claim.matches(operation):
            claim.command = ClaimedCommand(
                session, operation, statement, commands.start_ns, self._open_wire(connection, state), commands.rows,
                commands.error, commands.facts,
            )  # fmt: skip
            return
        if commands.error is None and (not commands.name or commands.name in WRITING_COMMANDS):
            values = written_values(commands.commands)
            written = written_facts(statement, values) + sent_value_facts(statement, values)
            commands.facts = merge_facts(commands.facts, written)
        if reply is not None:
            received = received_value_facts(statement, reply)
            commands.facts = merge_facts(commands.facts, received)
        self.recorder.record_call(
            session, operation, statement=statement, start_ns=commands.start_ns,
            wire=self._open_wire(connection, state), rows_returned=commands.rows, error=commands.error,
            facts=commands.facts, kind=CLIENT,
        )  # fmt: skip

    def _update_session(self, state: RedisConnectionState, command: Sequence[object], reply: object) -> None:
        """Apply what AUTH, HELLO, SELECT, RESET or INFO changes in the session or reveals about it."""
        session, name = state.session, name_of(command)
        if session is None:
            return
        if name in ("AUTH", "HELLO"):
            state.login.add_command(command)
            changes: dict[str, Any] = login_facts(state.login)
        elif name == "SELECT":
            changes = {"namespace": name_of(command[1:])}
        elif name == "RESET":
            state.login = RedisLogin()
            changes = {"namespace": "0", **login_facts(state.login)}
        else:
            changes = info_facts(reply)
        if any(getattr(session, key) != value for key, value in changes.items()):
            state.session = replace(session, encoded=[], **changes)
