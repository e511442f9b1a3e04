"""What goes by on one Redis connection: which reply answers which command, and what the session is by now.

Redis answers in order, so commands wait in a queue until their replies have been read. Commands of the connection's
own start (HELLO, AUTH, CLIENT SETINFO, SELECT) are part of the call ``connect``. Everything here is bookkeeping, and
guarded.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.redis.claims import Carried
from backwatch.collector.probes.families.redis.claims import current as current_claim
from backwatch.collector.probes.families.redis.nodes import ANNOUNCING, facts_of
from backwatch.collector.probes.families.redis.replies import answers, error_facts, joined, rows
from backwatch.collector.probes.families.redis.session import (
    Login,
    carrier_of,
    login_of,
    session_of,
    socket_of,
    told_by_info,
)
from backwatch.collector.probes.families.redis.state import Exchange, State
from backwatch.collector.probes.families.redis.text import SUBSCRIPTIONS, name_of, pipeline, single
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, Session
from backwatch.collector.session.socket_counters import SocketCounters

KEY: Final = "_backwatch_state"
"""Where a connection object keeps its :class:`State`."""
MAX_PENDING: Final = 1_000
_MESSAGES: Final = frozenset(("message", "pmessage", "smessage"))
_ACKNOWLEDGED: Final = frozenset(
    ("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe")
)
_CHANGING: Final = frozenset(("AUTH", "HELLO", "SELECT", "RESET", "INFO"))


class Watch:
    """The connections of one process."""

    def __init__(self, recorder: Recorder, tls_classes: tuple[type, ...], system: str) -> None:
        self.recorder = recorder
        self.system = system
        self.tls_classes = tls_classes
        self.active = True

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    def _state(self, connection: Any) -> State:
        state: State | None = connection.__dict__.get(KEY)
        if state is None or state.watch is not self:
            state = connection.__dict__[KEY] = State(self)
        return state

    def _known(self, connection: Any, state: State) -> Session:
        """The session, learnt now where the connection is older than this probe."""
        if state.session is None:
            state.session = session_of(connection, self.tls_classes, state.login, self.system)
            self._count(connection, state)
            if state.wire is not None:
                state.wire.read_delta()  # what went by before we came belongs to no call of ours
        return state.session

    def _count(self, connection: Any, state: State) -> None:
        state.carrier = id(carrier_of(connection))
        state.wire = SocketCounters(socket_of(connection)[1])

    def _wire(self, connection: Any, state: State) -> SocketCounters | None:
        """The counters, while the connection is open: once closed, its number may name another."""
        return state.wire if state.carrier == id(carrier_of(connection)) else None

    @never_breaks_the_host
    def connecting(self, connection: Any) -> State | None:
        """A connection is about to be made; ``None`` where it stands already."""
        if not self.active or socket_of(connection)[0] is not None:
            return None
        state = connection.__dict__[KEY] = State(self)
        state.connecting_ns = time.time_ns()
        return state

    @never_breaks_the_host
    def connected(self, connection: Any, state: State) -> None:
        """It is made, and its own commands have been answered."""
        start_ns, state.connecting_ns = state.connecting_ns, 0
        state.session = session_of(connection, self.tls_classes, state.login, self.system)
        self._count(connection, state)
        self.recorder.record_call(state.session, "connect", start_ns=start_ns, wire=state.wire)

    @never_breaks_the_host
    def connect_failed(self, connection: Any, state: State, error: BaseException) -> None:
        """The connection, its TLS or its login failed; what was known when the login was sent is told."""
        start_ns, state.connecting_ns = state.connecting_ns, 0
        state.failure = id(error)
        session = state.session or session_of(connection, self.tls_classes, state.login, self.system)
        state.session = None
        self.recorder.record_call(
            session,
            "connect",
            start_ns=start_ns,
            error=root_error(error),
            facts=error_facts(error, session),
        )

    @never_breaks_the_host
    def commanding(self, connection: Any, command: tuple[object, ...]) -> Exchange | None:
        """One command is about to be written."""
        if not self.active:
            return None
        state: State | None = connection.__dict__.get(KEY)
        if state is None or state.watch is not self:
            state = connection.__dict__[KEY] = State(self)
        name = name_of(command)
        if state.connecting_ns:
            state.subscribed |= name in SUBSCRIPTIONS
            state.login.sent(command)
            if state.session is None:
                # The connection stands and speaks; should the login fail, this is what we know of it.
                state.session = session_of(connection, self.tls_classes, state.login, self.system)
            return None
        state.single, state.packed = True, None
        if state.session is None and socket_of(connection)[0] is not None:
            self._known(connection, state)
        return Exchange((command,), name, time.time_ns())

    @never_breaks_the_host
    def packed(self, connection: Any, commands: Sequence[Sequence[object]]) -> None:
        """Commands were put into bytes; they are written next."""
        if not self.active:
            return
        state = self._state(connection)
        if not state.single and not state.connecting_ns:
            state.packed = tuple(commands)

    @never_breaks_the_host
    def sending(self, connection: Any) -> Exchange | None:
        """Bytes are about to be written: those of the commands packed last, if any."""
        if not self.active:
            return None
        state = self._state(connection)
        commands, state.packed = state.packed, None
        if commands and state.session is None and socket_of(connection)[0] is not None:
            self._known(connection, state)
        return Exchange(commands, "", time.time_ns()) if commands else None

    @never_breaks_the_host
    def sent(self, connection: Any, exchange: Exchange) -> None:
        """The bytes are on their way. Only now a reply is due: writing may begin with a PING of the driver's own."""
        state = connection.__dict__[KEY]
        state.single = False
        if len(state.pending) < MAX_PENDING:
            state.pending.append(exchange)
        if exchange.name in SUBSCRIPTIONS:
            state.subscribed = True

    @never_breaks_the_host
    def send_failed(self, connection: Any, exchange: Exchange, error: BaseException) -> None:
        """Writing failed. Where the connection could not be made, the call ``connect`` has told so."""
        state = self._state(connection)
        state.single = False
        if state.failure == id(error):
            state.failure = 0
            return
        exchange.error = error
        self._report(connection, state, exchange)

    @never_breaks_the_host
    def received(self, connection: Any, reply: object) -> None:
        """A reply was read."""
        if not self.active:
            return
        state: State | None = connection.__dict__.get(KEY)
        if state is None or state.watch is not self:
            return
        if state.connecting_ns:
            state.login.answered(reply)
            return
        if state.subscribed and self._pushed(connection, state, reply):
            return
        if not state.pending:
            return
        exchange = state.pending[0]
        if reply is not None:
            facts = detect_formats(reply)
            if facts:
                exchange.facts = joined(exchange.facts, facts)
        if exchange.name or len(exchange.commands) == 1:
            if reply.__class__ is not bytes:
                exchange.rows = rows(reply)
            if exchange.name in ANNOUNCING:
                nodes = facts_of(exchange.name, exchange.commands[0], reply, self._known(connection, state))
                exchange.facts = joined(exchange.facts, nodes)
        elif isinstance(reply, list) and exchange.error is None:
            # EXEC: an error of one of its commands stands among the replies.
            exchange.error = next((one for one in reply if isinstance(one, Exception)), None)
        self._one_reply_less(connection, state, exchange, reply)

    @never_breaks_the_host
    def receive_failed(self, connection: Any, error: BaseException) -> None:
        """A reply was an error, or could not be read."""
        if not self.active:
            return
        state: State | None = connection.__dict__.get(KEY)
        if state is None or state.watch is not self or state.connecting_ns or not state.pending:
            return
        exchange = state.pending[0]
        if not answers(error):
            if state.subscribed and "Timeout" in type(error).__name__:
                return  # waiting for a message that did not come
            state.pending.clear()  # the stream of replies is broken, the driver closes the connection
            exchange.error = error
            exchange.facts = joined(exchange.facts, error_facts(error, self._known(connection, state)))
            self._report(connection, state, exchange)
            return
        if exchange.error is None:
            exchange.error = error
        exchange.facts = joined(exchange.facts, error_facts(error, self._known(connection, state)))
        self._one_reply_less(connection, state, exchange, None)

    def _one_reply_less(self, connection: Any, state: State, exchange: Exchange, reply: object) -> None:
        exchange.left -= 1
        if exchange.left <= 0:
            state.pending.popleft()
            self._report(connection, state, exchange)
            if exchange.name in _CHANGING and exchange.error is None:
                self._session_after(state, exchange.commands[0], reply)

    def _pushed(self, connection: Any, state: State, reply: object) -> bool:
        """Whether the reply is a message that nobody asked for by a command."""
        if not isinstance(reply, (list, tuple)) or len(reply) < 3:
            return reply is None or not state.pending
        word = name_of(reply[:1]).lower()
        if word in _MESSAGES:
            self.recorder.record_call(
                self._known(connection, state), "message", start_ns=time.time_ns(),
                wire=self._wire(connection, state), facts=detect_formats(reply[-1]), kind=CONSUMER,
            )  # fmt: skip
            return True
        if word in _ACKNOWLEDGED:
            return not (state.pending and state.pending[0].name in SUBSCRIPTIONS)
        return not state.pending

    def _report(self, connection: Any, state: State, exchange: Exchange) -> None:
        session = self._known(connection, state)
        if exchange.name:
            operation, statement = single(exchange.name, exchange.commands[0])
        else:
            operation, statement = pipeline(exchange.commands)
        claim = current_claim()
        if claim is not None and claim.takes(operation):
            claim.carried = Carried(
                session, operation, statement, exchange.start_ns, self._wire(connection, state), exchange.rows,
                exchange.error, exchange.facts,
            )  # fmt: skip
            return
        self.recorder.record_call(
            session, operation, statement=statement, start_ns=exchange.start_ns, wire=self._wire(connection, state),
            rows_returned=exchange.rows, error=exchange.error, facts=exchange.facts, kind=CLIENT,
        )  # fmt: skip

    def _session_after(self, state: State, command: Sequence[object], reply: object) -> None:
        """AUTH, SELECT and INFO change what is true of the session, or what we know of it."""
        session, name = state.session, name_of(command)
        if session is None:
            return
        if name in ("AUTH", "HELLO"):
            state.login.sent(command)
            changes: dict[str, Any] = login_of(state.login)
        elif name == "SELECT":
            changes = {"namespace": name_of(command[1:])}
        elif name == "RESET":
            state.login = Login()
            changes = {"namespace": "0", **login_of(state.login)}
        else:
            changes = told_by_info(reply)
        if any(getattr(session, key) != value for key, value in changes.items()):
            state.session = replace(session, encoded=[], **changes)
