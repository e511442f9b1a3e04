"""The calls on ldap3's connections: connect, starttls, bind, and one call per request and its response.

Requests are observed where they are sent, responses where they are read. So a referral that the library follows, and
its requests to the other server, are calls of their own. Requests that the library itself sends while it connects,
starts TLS or binds (the schema, steps of SASL) belong to that call.
"""

import time
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.documents.ldap_signs import signs_of_search
from backwatch.collector.documents.shown import sign_facts, with_signs
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.ldap3 import session
from backwatch.collector.probes.ldap3.requests import WITHOUT_RESPONSE, describe_call, describe_message
from backwatch.collector.probes.ldap3.responses import (
    TERMINATED,
    Result,
    cause_of,
    is_final,
    outcome,
    result_of,
    row_counts,
)
from backwatch.collector.probes.ldap3.session import CheckedSockets, CompoundCall, LdapConnectionState, PendingRequest
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Caller
from backwatch.collector.session.socket_counters import UNKNOWN

CALLER_ATTRIBUTE: Final = "_backwatch_caller"
"""Entry in the ``__dict__`` of a request that another thread will send: its caller."""


class LdapCallObserver(SwitchableObserver):
    """The connections of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.checked = CheckedSockets()
        self._states: WeakKeyDictionary[Any, LdapConnectionState] = WeakKeyDictionary()

    def state(self, connection: Any) -> LdapConnectionState:
        """Return the state of a connection, made now where it is older than this probe."""
        state = self._states.get(connection)
        if state is None:
            state = self._states[connection] = LdapConnectionState(session.requested_session(connection))
            state.update(**session.current_facts(connection, self.checked))
            state.count_bytes(connection)
            if state.wire is not None:
                state.wire.read_delta()  # earlier bytes belong to no recorded call
            if getattr(connection, "bound", False):
                state.update(**session.account_facts(connection))
        return state

    # --- calls of several requests ---

    @never_breaks_the_host
    def on_open(self, strategy: Any, _args: Args, _kwargs: Kwargs) -> CompoundCall | None:
        """Note a connection that is about to be made, unless that is put off."""
        connection = strategy.connection
        if not self._is_observed(connection):
            return None
        state = self._states.get(connection)
        if state is None:
            state = self._states[connection] = LdapConnectionState(session.requested_session(connection))
        state.session, state.wire, state.starttls_offered = session.requested_session(connection), None, None
        state.pending.clear()
        return state.begin("connect")

    @never_breaks_the_host
    def on_open_end(self, strategy: Any, call: CompoundCall, _result: object, error: Error) -> None:
        """Record a connect, or its failure."""
        connection = strategy.connection
        state = self._end(connection, call)
        if error is not None:
            self._record(connection, state, "connect", call.start_ns, error=call.cause or cause_of(error))
            call.cause = None  # an error keeps the app's objects alive
            return
        facts = session.current_facts(connection, self.checked)
        state.session = replace(session.requested_session(connection), encoded=[], **facts)
        state.count_bytes(connection)
        state.update(**session.version_facts(connection, state))
        if not state.session.encrypted:
            # StartTLS may follow; a session that will be encrypted in a moment is not one in plaintext.
            state.update(encrypted=None)
        self._record(connection, state, "connect", call.start_ns)

    @never_breaks_the_host
    def on_open_socket_end(self, strategy: Any, _call: object, _result: object, error: Error) -> None:
        """Keep the error of one address: the library makes a new error out of the last one."""
        state = self._states.get(strategy.connection)
        call = state.current_call() if state is not None else None
        if call is not None and error is not None:
            call.cause = cause_of(error)

    @never_breaks_the_host
    def on_bind(self, connection: Any, _args: Args, _kwargs: Kwargs) -> CompoundCall | None:
        """Note a bind."""
        return self._begin(connection, "bind")

    @never_breaks_the_host
    def on_starttls(self, connection: Any, _args: Args, _kwargs: Kwargs) -> CompoundCall | None:
        """Note an upgrade to TLS."""
        return self._begin(connection, "starttls")

    def _is_observed(self, connection: Any) -> bool:
        strategy = connection.strategy
        if not self.active or strategy.no_real_dsa or strategy.pooled:
            return False
        return not connection.lazy or bool(getattr(connection, "_executing_deferred", False))

    def _begin(self, connection: Any, operation: str) -> CompoundCall | None:
        if not self._is_observed(connection):
            return None
        return self.state(connection).begin(operation)

    def _end(self, connection: Any, call: CompoundCall) -> LdapConnectionState:
        state = self.state(connection)
        state.end(call)
        return state

    @never_breaks_the_host
    def on_bind_end(self, connection: Any, call: CompoundCall, _result: object, error: Error) -> None:
        """Record a bind: the server accepted or refused it. Without a request, it is recorded only as a failure."""
        state = self._end(connection, call)
        if not call.sent and (error is None or state.failed != call.failed):
            return
        account = session.account_facts(connection)
        if error is None and call.result is not None and call.result["result"] == 0:
            state.update(**account, **session.version_facts(connection, state))
            self._record(connection, state, "bind", call.start_ns, result=call.result)
            return
        # A failed bind's account is reported with that call only. The connection is anonymous then (RFC 4513, 4).
        state.update(account="", auth_method="")
        self._record(connection, state, "bind", call.start_ns, result=call.result, error=error, changes=account)

    @never_breaks_the_host
    def on_starttls_end(self, connection: Any, call: CompoundCall, _result: object, error: Error) -> None:
        """Record an upgrade to TLS: the server refused it, or the handshake succeeded or failed."""
        state = self._end(connection, call)
        if not call.sent and (error is None or state.failed != call.failed):
            return
        if call.result is not None:
            state.starttls_offered = call.result["result"] == 0
        mode = session.tls_mode(connection.server)
        state.update(requested=mode, requested_explicit=True, **session.starttls_facts(state))
        if error is None:
            state.update(**session.current_facts(connection, self.checked), **session.version_facts(connection, state))
        failure = cause_of(error) if error is not None else None
        self._record(connection, state, "starttls", call.start_ns, result=call.result, error=failure)

    # --- one request, one response ---

    @never_breaks_the_host
    def on_queue(self, _strategy: Any, args: Args, _kwargs: Kwargs) -> None:
        """Keep the caller of a request that another thread will send."""
        if self.active and len(args) > 1:
            vars(args[1])[CALLER_ATTRIBUTE] = self.recorder.capture_caller()

    @never_breaks_the_host
    def on_send(self, strategy: Any, args: Args, _kwargs: Kwargs) -> PendingRequest | CompoundCall | None:
        """Note a request that is about to be sent."""
        if not self.active:
            return None
        message, connection = args[0], strategy.connection
        state = self.state(connection)
        number = int(message["messageID"])
        call = state.current_call()
        if call is not None:
            if not call.sent and call.operation != "connect":
                call.sent, call.start_ns = True, time.time_ns()
            state.add_pending(number, call)
            return call
        operation, statement = describe_message(message)
        caller: Caller | None = vars(message["protocolOp"].getComponent()).get(CALLER_ATTRIBUTE)
        if caller is None and not strategy.sync:
            caller = self.recorder.capture_caller()
        request = PendingRequest(operation, statement, caller)
        state.sent += 1
        if operation not in WITHOUT_RESPONSE:
            state.add_pending(number, request)
        return request

    @never_breaks_the_host
    def on_send_end(self, strategy: Any, request: PendingRequest | CompoundCall, _result: object, error: Error) -> None:
        """Record a request that could not be sent, or that has no response."""
        if not isinstance(request, PendingRequest):
            return
        connection, state = strategy.connection, self.state(strategy.connection)
        if error is not None:
            for number in [number for number, pending in list(state.pending.items()) if pending is request]:
                del state.pending[number]
            self._record_response(connection, state, request, [], None, root_error(error))
        elif request.operation in WITHOUT_RESPONSE:
            self._record(connection, state, request.operation, request.start_ns, caller=request.caller)

    @never_breaks_the_host
    def on_arrival(self, strategy: Any, args: Args, kwargs: Kwargs) -> None:
        """Take a response that a reading thread has completed, before the app's thread wakes up."""
        number = argument(args, kwargs, 0, "message_id")
        self._take_response(strategy, number, strategy._responses.get(number), None)

    @never_breaks_the_host
    def on_response(self, strategy: Any, token: CallToken, response: Any, error: Error) -> None:
        """Take a response. ``None`` is a timeout: the response may come later."""
        if response is not None or error is not None:
            self._take_response(strategy, argument(token[1], token[2], 0, "message_id"), response, error)

    def _take_response(self, strategy: Any, number: int, response: Any, error: Error) -> None:
        """Record the request of a response: a list of messages whose last but one is the result."""
        state = self._states.get(strategy.connection)
        request = state.pending.pop(number, None) if state is not None and self.active else None
        if state is None or request is None:
            return
        messages, result = result_of(response)
        if isinstance(request, CompoundCall):
            request.result = result if is_final(result) else request.result
            return
        failure = root_error(error) if error is not None else None if result is not None else TERMINATED
        self._record_response(strategy.connection, state, request, messages, result, failure)

    def _record_response(
        self, connection: Any, state: LdapConnectionState, request: PendingRequest, messages: list[Any],
        result: Result | None, error: BaseException | str | None,
    ) -> None:  # fmt: skip
        self._record(
            connection, state, request.operation, request.start_ns, statement=request.statement, result=result,
            error=error, rows=row_counts(request.operation, messages, result), caller=request.caller,
        )  # fmt: skip

    # --- calls that the library refuses to send ---

    @never_breaks_the_host
    def on_call(self, connection: Any, args: Args, kwargs: Kwargs) -> tuple[tuple[int, int], Args, Kwargs] | None:
        """Note a call of the app, and the requests sent and failed by then."""
        if not self.active or connection.strategy.no_real_dsa:
            return None
        state = self.state(connection)
        return (state.sent, state.failed), args, kwargs

    @never_breaks_the_host
    def on_call_end(
        self, operation: str, connection: Any, call: tuple[tuple[int, int], Args, Kwargs], _result: Any,
        error: Error,
    ) -> None:  # fmt: skip
        """Record a call that failed without a request: its filter or its name is invalid."""
        counts, args, kwargs = call
        state = self.state(connection)
        if error is not None and (state.sent, state.failed) == counts:
            statement = describe_call(operation, args, kwargs)
            self._record(connection, state, operation, time.time_ns(), statement=statement, error=error)

    @never_breaks_the_host
    def on_check_name_end(self, _owner: None, check: CallToken, _result: object, error: Error) -> None:
        """Note that ldap3 has accepted the name in a certificate."""
        if self.active and error is None:
            _, args, kwargs = check
            self.checked.add(argument(args, kwargs, 0, "sock"), argument(args, kwargs, 2, "additional_names"))

    # --- records ---

    def _finish_session(self, connection: Any, state: LdapConnectionState) -> None:
        """Set the TLS facts of a session: no StartTLS came before its first call."""
        if state.session.encrypted is None:
            state.update(**session.current_facts(connection, self.checked))

    def _record(
        self, connection: Any, state: LdapConnectionState, operation: str, start_ns: int, *, statement: str = "",
        result: Result | None = None, error: BaseException | str | None = None, rows: tuple[int, int] = UNKNOWN,
        caller: Caller | None = None, changes: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if operation not in ("connect", "starttls"):
            self._finish_session(connection, state)
        current = replace(state.session, encoded=[], **changes) if changes else state.session
        if type(error).__module__ == "ssl":
            current = replace(current, encoded=[], encrypted=None)  # requested, but the handshake failed
        code, facts = outcome(result)
        failure = error if error is not None else code
        state.failed += failure is not None
        # A closed connection's descriptor may by now be another socket's.
        wire = state.wire if state.number == descriptor(getattr(connection, "socket", None)) else None
        estimated = UNKNOWN
        if wire is not None and not connection.strategy.sync:
            wire, estimated = None, wire.read_delta()  # other calls may be in flight on the same connection
        signs = signs_of_search(statement) if operation == "search" else ""
        self.recorder.record_call(
            current, operation, statement=with_signs(statement, signs), start_ns=start_ns, wire=wire,
            estimated=estimated, rows_returned=rows[0], rows_affected=rows[1], error=failure,
            facts=(*facts, *sign_facts(signs)) if signs else facts,
            caller=caller,
        )  # fmt: skip
