"""The calls on connections of line protocols (SMTP, IMAP, POP3, FTP): connect, starttls, login, commands."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.state import InFlightLineCall, LineConnectionState
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Kwargs, call_hook, name_arguments
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters


class LineCallObserver(SwitchableObserver):
    """The connections of one process and protocol; a subclass for each library.

    Args:
        tls_class: The library's class of clients that use TLS from the first byte; ``None`` where it has none.

    Attributes:
        system: The protocol's contract name.
        port: Its usual port.
        default_host: The library's own default.
    """

    system: ClassVar[str]
    port: ClassVar[int]
    default_host = ""

    def __init__(self, recorder: Recorder, tls_class: Any = None) -> None:
        self.recorder = recorder
        self._tls_class = tls_class
        self._states: WeakKeyDictionary[Any, LineConnectionState] = WeakKeyDictionary()

    # --- what differs between the libraries ---

    def code_of(self, error: BaseException) -> str:
        """Return the server's code in an error of the library."""
        raise NotImplementedError

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return the session facts in the greeting; with the key ``error``, the code of a refusal.

        Args:
            result: Returned by the library's connect.
        """
        raise NotImplementedError

    def endpoint(self, client: Any, host: object, port: object) -> tuple[str, int]:
        """Return a connection's host and port; 0: the usual one."""
        address = words(host or getattr(client, "host", "") or "localhost", 255)
        return address, to_port(port or getattr(client, "port", 0))

    def offers_starttls(self, client: Any, encrypted: bool | None) -> bool | None:
        """Return whether the server offers TLS, where the library knows at any moment; else set it in the state."""
        del client, encrypted
        return None

    # --- hooks ---

    def connect_hook(self) -> Decorator:
        """Wrap the method that connects."""
        return call_hook(self.on_connect, self.on_connect_end)

    def starttls_hook(self, context_of: Callable[[Any, Args, Kwargs], Any]) -> Decorator:
        """Wrap the method that upgrades a connection to TLS.

        Args:
            context_of: Return the TLS context of such a call.
        """

        @never_breaks_the_host
        def on_starttls(client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
            mode = requested_mode(context_of(client, args, kwargs))
            return self.begin_call(client, "starttls", requested=mode, requested_explicit=True)

        return call_hook(on_starttls, self.on_starttls_end)

    @never_breaks_the_host
    def on_connect(self, client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a connection that is about to be made."""
        if not self.active:
            return None
        given = name_arguments(("host", "port"), args, kwargs)
        session = self._requested_session(client, given.get("host", self.default_host), given.get("port", 0))
        state = self._states[client] = LineConnectionState(session)
        state.busy = "connect"
        return InFlightLineCall(state, time.time_ns())

    @never_breaks_the_host
    def on_connect_end(self, client: Any, call: InFlightLineCall, result: Any, error: Error) -> None:
        """Record a connect: the server greeted or refused it, or it failed."""
        state, failure = call.state, error
        state.busy = ""
        if error is None:
            facts = self._guarded_greeting_facts(client, result) or {}
            failure = facts.pop("error", None)
            self._count(client, state)
            state.session = replace(state.session, encoded=[], **{**_current_facts(client), **facts})
            if not state.session.encrypted:
                # STARTTLS may follow; a session that will be encrypted in a moment is not one in plaintext.
                state.session = replace(state.session, encoded=[], encrypted=None)
        self.recorder.record_call(
            state.session, "connect", start_ns=call.start_ns, wire=state.wire, error=failure,
            facts=self._code_facts(failure),
        )  # fmt: skip

    @never_breaks_the_host
    def on_starttls_end(self, client: Any, call: InFlightLineCall, _reply: Any, error: Error) -> None:
        """Record an upgrade to TLS."""
        if error is None:
            call.state.starttls_offered = True
        self.end_call(client, call, error)

    # --- calls ---

    def state(self, client: Any) -> LineConnectionState:
        """Return the state of a connection, made now where it is older than this probe."""
        state = self._states.get(client)
        if state is None:
            state = self._states[client] = LineConnectionState(self._requested_session(client, "", 0))
            state.session = replace(state.session, encoded=[], **_current_facts(client))
            self._count(client, state)
            if state.wire is not None:
                state.wire.read_delta()  # earlier bytes belong to no recorded call
        return state

    @never_breaks_the_host
    def begin_call(self, client: Any, operation: str, subject: Any = None, **changes: Any) -> InFlightLineCall | None:
        """Begin a call, unless it is part of another one.

        Args:
            subject: Goes into :attr:`.InFlightLineCall.subject`.
            changes: Facts of the session from now on.
        """
        if not self.active:
            return None
        state = self.state(client)
        if state.busy:
            return None
        state.busy = operation
        if changes:
            state.session = replace(state.session, encoded=[], **changes)
        return InFlightLineCall(state, time.time_ns(), subject)

    @never_breaks_the_host
    def end_call(
        self, client: Any, call: InFlightLineCall, error: BaseException | str | None, statement: str = "", *,
        rows: int = -1, affected: int = -1, facts: Facts = (), moved: tuple[int, int] = UNKNOWN, **changes: Any,
    ) -> None:  # fmt: skip
        """Record a call that has ended.

        Args:
            moved: Bytes that went over another connection, an estimate.
            changes: Facts of the session, from now on where the call succeeded, else of this call alone.
        """
        state = call.state
        operation, state.busy = state.busy, ""
        self.update_session(client, state, {} if error is not None else changes)
        # A failed login's account is reported with that call only.
        session = replace(state.session, encoded=[], **changes) if error is not None and changes else state.session
        if type(error).__module__ == "ssl":
            session = replace(session, encoded=[], encrypted=None)  # requested and offered, but the handshake failed
        if state.data:
            session, state.data = _data_session(state, session), {}
        wire = state.wire if state.number == descriptor(getattr(client, "sock", None)) else None
        estimated = UNKNOWN
        if moved is not UNKNOWN:
            sent, received = wire.read_delta() if wire is not None else (0, 0)
            wire, estimated = None, (max(sent, 0) + moved[0], max(received, 0) + moved[1])
        self.recorder.record_call(
            session, operation, statement=statement, start_ns=call.start_ns, wire=wire, estimated=estimated,
            rows_returned=rows, rows_affected=affected, error=error, facts=(*self._code_facts(error), *facts),
        )  # fmt: skip

    def update_session(self, client: Any, state: LineConnectionState, changes: dict[str, Any]) -> None:
        """Update the session by the connection's present facts, and by ``changes``."""
        # A server that hangs up before its greeting leaves a plain socket, on which TLS was about to begin: unknown.
        current = {**(_current_facts(client) if state.number >= 0 else {}), **changes}
        offered = self.offers_starttls(client, current.get("encrypted", state.session.encrypted))
        if offered is not None:
            state.starttls_offered = offered
        if state.starttls_offered is not None:
            current["extra"] = ((names.STARTTLS_OFFERED, state.starttls_offered),)
        if any(getattr(state.session, key) != value for key, value in current.items()):
            state.session = replace(state.session, encoded=[], **current)

    @never_breaks_the_host
    def _guarded_greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        return self.greeting_facts(client, result)

    def _requested_session(self, client: Any, host: object, port: object) -> Session:
        facts: dict[str, Any] = {"requested": "disable", "requested_explicit": False}
        if self._tls_class is not None and isinstance(client, self._tls_class):
            context = getattr(client, "ssl_context", None) or getattr(client, "context", None)
            facts = {"requested": requested_mode(context), "requested_explicit": True}
        address, number = self.endpoint(client, host, port)
        return Session(system=self.system, address=address, port=number or self.port, **facts)

    def _count(self, client: Any, state: LineConnectionState) -> None:
        state.number = descriptor(getattr(client, "sock", None))
        state.wire = SocketCounters(state.number) if state.number >= 0 else None

    def _code_facts(self, error: BaseException | str | None) -> Facts:
        code = self.code_of(error) if isinstance(error, BaseException) else error or ""
        return ((names.STATUS_CODE, code),) if code else ()


def _data_session(state: LineConnectionState, session: Session) -> Session:
    """Return the session of the data connection, made once where it stays the same."""
    if all(getattr(session, key) == value for key, value in state.data.items()):
        return session
    known = state.data_session
    if known is None or known[0] is not session or known[1] != state.data:
        known = state.data_session = session, state.data, replace(session, encoded=[], **state.data)
    return known[2]


def _current_facts(client: Any) -> dict[str, Any]:
    """Return the present facts of the connection; none where it is closed."""
    socket = getattr(client, "sock", None)
    if descriptor(socket) < 0:
        return {}
    return connection_facts(socket, tls_of(socket))


def to_port(port: object) -> int:
    """Return a port as the app gave it; 0 where it is none."""
    return int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdigit()) else 0
