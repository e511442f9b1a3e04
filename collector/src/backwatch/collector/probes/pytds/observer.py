"""Observation of pytds: connect, login and redirections, statements, rows as they are read, transactions."""

from collections.abc import Callable
from contextvars import ContextVar, Token
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pytds.session import describe_connection, describe_request, descriptor_of
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    NO_ROWS,
    PAGE_ROWS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    OpenResult,
    RowCounts,
    notice_facts,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Function, Kwargs, call_hook
from backwatch.collector.probes.toolkit.nodes import address
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import SocketCounters

StatementOf = Callable[[Args, Kwargs], object]
"""Returns the statement of a cursor method's arguments and keyword arguments."""
Call = tuple[Any, ConnectionState, int, Args, Kwargs]
"""A cursor's call that is running: the driver's session, state, start, arguments, keyword arguments."""


class PytdsConnectAttempt:
    """An attempt to connect, maybe within another one that its server has redirected.

    Attributes:
        token: Restores the outer attempt.
    """

    __slots__ = ("host", "is_recorded", "login", "outer", "port", "start_ns", "tds", "token")

    def __init__(self, options: Kwargs, outer: "PytdsConnectAttempt | None") -> None:
        self.login = options.get("login")
        self.host = options.get("host")
        self.port = options.get("port")
        self.outer = outer
        self.start_ns = time_ns()
        self.tds: Any = None
        self.is_recorded = False
        self.token: Token[PytdsConnectAttempt | None] | None = None


class PytdsResult(OpenResult):
    """Rows of one statement that the app reads.

    Attributes:
        notices: The session's notices that are recorded already.
        has_ended: There are no more rows in this set; another may follow.
    """

    __slots__ = ("has_ended", "notices")

    def __init__(self, sql: object, notices: int, *, has_ended: bool = False) -> None:
        super().__init__(sql)
        self.notices = notices
        self.has_ended = has_ended


def _error_facts(error: Error) -> Facts:
    """Return the server's error number."""
    return status_facts(getattr(error, "msg_no", None))


def _count_rows(session: Any) -> RowCounts:
    """Count the rows that a call has returned by now, or those that it affected."""
    if session.res_info is not None:
        count = session.res_info.row_count
        return (count if count or not session.more_rows else UNKNOWN), UNKNOWN
    count = session.rows_affected
    return UNKNOWN, (count if type(count) is int and count >= 0 else UNKNOWN)


def _count_notices(session: Any) -> int:
    return sum(1 for message in session.messages if not message["priv_msg_type"])


class PytdsCallObserver(CallObserver):
    """Follows the driver's connections, sessions and cursors."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._attempt: ContextVar[PytdsConnectAttempt | None] = ContextVar("backwatch_tds_attempt", default=None)

    # --- connections ---

    @never_breaks_the_host
    def start_attempt(self, options: Kwargs) -> PytdsConnectAttempt | None:
        """Start an attempt to reach one of the servers, or the one that a server has named."""
        if self.recorder is None:
            return None
        attempt = PytdsConnectAttempt(options, self._attempt.get())
        attempt.token = self._attempt.set(attempt)
        return attempt

    @never_breaks_the_host
    def end_attempt(self, attempt: PytdsConnectAttempt | None, error: Error) -> None:
        """Record that the connection is established with its first transaction, or has failed."""
        if attempt is None:
            return
        if attempt.token is not None:
            self._attempt.reset(attempt.token)
        if not attempt.is_recorded:
            if attempt.tds is None:  # without a socket
                state = ConnectionState(describe_request(attempt.login, attempt.host, attempt.port))
                self.record_call(state, "connect", attempt.start_ns, error=error and root_error(error))
            else:
                self._record_connect(attempt, error)
        if attempt.outer is not None:
            attempt.outer.is_recorded = True  # its own connection was recorded when it was redirected

    def _record_connect(self, attempt: PytdsConnectAttempt, error: Error, facts: Facts = ()) -> None:
        tds = attempt.tds
        attempt.is_recorded = True
        has_response = error is None or bool(_error_facts(error))
        state = tds.__dict__.get(STATE_ATTRIBUTE) or self._open_state(tds, attempt.host, has_response=has_response)
        notices = notice_facts(_count_notices(tds._main_session))
        self.record_call(
            state, "connect", attempt.start_ns, error=error and root_error(error),
            facts=(*_error_facts(error), *notices, *facts), lost=descriptor_of(tds) < 0,
        )  # fmt: skip

    @never_breaks_the_host
    def on_login(self, tds: Any, _args: Args, _kwargs: Kwargs) -> PytdsConnectAttempt | None:
        """Keep the connection, whose socket is open."""
        attempt = self._attempt.get()
        if attempt is not None:
            attempt.tds = tds
        return attempt

    @never_breaks_the_host
    def on_login_end(self, tds: Any, attempt: PytdsConnectAttempt, route: Any, error: Error) -> None:
        """Describe the connection while its socket is open: the server accepted, redirected or refused the login."""
        if error is not None:
            self._record_connect(attempt, error)
        elif route is not None:
            target = address(route["server"], route["port"])
            self._record_connect(attempt, None, ((names.REDIRECT_TARGET, target),))
        else:
            self._open_state(tds, attempt.host, has_response=True)

    def _open_state(self, tds: Any, host: object, *, has_response: bool) -> ConnectionState:
        number = descriptor_of(tds)
        is_shared = tds._mars_enabled  # several sessions on one socket: no call has its bytes for itself
        wire = SocketCounters(number) if number >= 0 and not is_shared else None
        session = describe_connection(tds, host, has_response=has_response)
        state = tds.__dict__[STATE_ATTRIBUTE] = ConnectionState(session, wire)
        return state

    def _state_of(self, tds: Any) -> ConnectionState:
        state = tds.__dict__.get(STATE_ATTRIBUTE)
        if state is None:
            state = self._open_state(tds, tds._login.server_name, has_response=True)
            state.skip_earlier_bytes()
        database = words(tds.env.database, MAX_TEXT_CHARACTERS)
        if database and state.session.namespace != database:
            state.change_session(namespace=database)
        return state

    # --- statements ---

    @never_breaks_the_host
    def on_statement(self, cursor: Any, args: Args, kwargs: Kwargs) -> Call | None:
        """Start a statement; ``None`` inside another call of the cursor."""
        session = cursor._session
        if self.recorder is None or session is None:
            return None
        state = self._state_of(session._tds)
        if state.inside:
            return None
        self._flush(session)
        state.inside += 1
        return session, state, time_ns(), args, kwargs

    def statement_hook(self, statement_of: StatementOf) -> Decorator:
        """Wrap a cursor method that sends a statement."""

        @never_breaks_the_host
        def on_statement_end(_: Any, call: Call, __: Any, error: Error) -> None:
            session, state, start_ns, args, kwargs = call
            state.inside -= 1
            sql, notices = statement_of(args, kwargs), _count_notices(session)
            if session.res_info is not None:
                result = PytdsResult(sql, notices, has_ended=not session.more_rows)
                session.__dict__[RESULT_ATTRIBUTE] = result
            rows = NO_ROWS if error is not None else _count_rows(session)
            facts, lost = _error_facts(error) + notice_facts(notices), descriptor_of(session._tds) < 0
            self.record_call(state, "", start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

        return call_hook(self.on_statement, on_statement_end)

    # --- rows ---

    def wrap_next_row(self, original: Function) -> Function:
        """Wrap the method that reads a row. Called for each row: without hooks, to cost less."""

        def next_row(session: Any) -> Any:
            try:
                has_row = original(session)
            except BaseException as error:
                self._count_row(session, None, error)
                raise
            self._count_row(session, has_row)
            return has_row

        return next_row

    def _count_row(self, session: Any, has_row: Any, error: Error = None) -> None:
        result = session.__dict__.get(RESULT_ATTRIBUTE)
        if result is None or result.has_ended:
            return
        result.since_ns = result.since_ns or time_ns()
        if has_row is True:
            result.rows += 1
            if result.rows < PAGE_ROWS:
                return
            self._record_rows(session, result)
        else:
            result.has_ended = True
            self._record_rows(session, result, error)

    @never_breaks_the_host
    def _record_rows(self, session: Any, result: PytdsResult, error: Error = None) -> None:
        rows, since_ns = result.take_rows()
        facts = _error_facts(error) + notice_facts(_count_notices(session) - result.notices)
        self.record_call(
            self._state_of(session._tds), "FETCH", since_ns, sql=result.sql, rows=(rows, UNKNOWN), error=error,
            facts=facts, lost=descriptor_of(session._tds) < 0,
        )  # fmt: skip

    @never_breaks_the_host
    def _flush(self, session: Any) -> None:
        """Record the rows of a statement of which the app wants no more."""
        result = session.__dict__.pop(RESULT_ATTRIBUTE, None)
        if result is not None and result.rows:
            self._record_rows(session, result)

    @never_breaks_the_host
    def on_close(self, cursor: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Record the rows that were read before a cursor is closed."""
        if cursor._session is not None and self.recorder is not None:
            self._flush(cursor._session)

    @never_breaks_the_host
    def on_nextset(self, cursor: Any, _args: Args, _kwargs: Kwargs) -> Any:
        """Start to read the next set of rows."""
        session = cursor._session
        result = None if self.recorder is None or session is None else session.__dict__.get(RESULT_ATTRIBUTE)
        return None if result is None else (session, result)

    @never_breaks_the_host
    def on_nextset_end(self, _cursor: Any, token: tuple[Any, PytdsResult], _found: Any, _error: Error) -> None:
        """Follow the next set of rows, if there is one."""
        session, before = token
        if session.more_rows:
            session.__dict__[RESULT_ATTRIBUTE] = PytdsResult(before.sql, before.notices)

    # --- transactions ---

    @never_breaks_the_host
    def on_transaction_end(self, session: Any, _args: Args, _kwargs: Kwargs) -> tuple[ConnectionState, int] | None:
        """Start the end of a transaction; nothing is sent where none is open."""
        if self.recorder is None or session._env.autocommit or not session._tds.tds72_transaction:
            return None
        state = self._state_of(session._tds)
        if state.inside:
            return None
        self._flush(session)
        return state, time_ns()

    def transaction_end_hook(self, operation: str) -> Decorator:
        """Wrap a method that ends a transaction."""

        @never_breaks_the_host
        def record_end(session: Any, token: tuple[ConnectionState, int], _: Any, error: Error) -> None:
            facts, lost = _error_facts(error), descriptor_of(session._tds) < 0
            self.record_call(token[0], operation, token[1], sql=operation, error=error, facts=facts, lost=lost)

        return call_hook(self.on_transaction_end, record_end)
