"""Observation of mysql-connector-python: statements, results, rows as they are read."""

from collections.abc import Callable
from time import time_ns
from typing import Any, NamedTuple

from backwatch.collector.exposure import mode
from backwatch.collector.exposure.rows import parameter_facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.observer import Call, MySQLCallObserver
from backwatch.collector.probes.mysql.login import LoginObserver, open_state
from backwatch.collector.probes.mysql.session import ConnectorConnectionState, socket_of
from backwatch.collector.probes.toolkit.dbapi import (
    NO_ROWS,
    PAGE_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    RowCounts,
    argument,
    notice_facts,
)
from backwatch.collector.probes.toolkit.hooks import (
    Args,
    Decorator,
    Error,
    Function,
    Kwargs,
    async_call_hook,
    call_hook,
)
from backwatch.collector.probes.toolkit.sockets import descriptor
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts

Hook = Callable[..., Decorator]
"""``call_hook`` or ``async_call_hook``."""
RowsToken = tuple[ConnectorConnectionState, int]
"""State of the connection, start."""


class DriverQuery(NamedTuple):
    """A query that the driver itself sends during a call of the app; its rows are not the app's.

    Attributes:
        rows: Unrecorded rows before it.
    """

    state: ConnectorConnectionState
    rows: int


class ConnectorCallObserver(MySQLCallObserver):
    """Follows the driver's connections and cursors."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.login = LoginObserver(self)

    def is_open(self, connection: Any) -> bool:
        """Return true while the driver holds a connection."""
        return getattr(connection, "_cmysql", None) is not None or descriptor(socket_of(connection)) >= 0

    def adopt_connection(self, connection: Any) -> ConnectorConnectionState:
        """Keep and return the state of a connection that is older than the probe."""
        state = open_state(connection)
        state.skip_earlier_bytes()
        return state

    # --- start of a call ---

    def _enter(self, connection: Any) -> Any:
        state = super()._enter(connection)
        if state is not None:
            if state.result.rows:
                self._record_rows(state, connection, None)
                state.inside = 1
            state.has_sent = False
        return state

    @never_breaks_the_host
    def on_cursor_call(self, cursor: Any, args: Args, kwargs: Kwargs) -> Call | None:
        """Start a call on a cursor's connection."""
        return self.on_call(_connection_of(cursor), args, kwargs)

    @never_breaks_the_host
    def on_statement(self, connection: Any, args: Args, kwargs: Kwargs) -> Call | None:
        """Start a statement, or note in a running call that it has sent one."""
        state = _running_state(connection)
        if state is not None:
            state.has_sent = True
            return None
        return self.on_call(connection, args, kwargs)

    @never_breaks_the_host
    def on_info_query(self, connection: Any, args: Args, kwargs: Kwargs) -> Call | DriverQuery | None:
        """Start ``info_query``, by which the driver asks for something itself where a call is running."""
        state = _running_state(connection)
        return self.on_call(connection, args, kwargs) if state is None else DriverQuery(state, state.result.rows)

    @never_breaks_the_host
    def on_rows(self, connection: Any, _args: Args, _kwargs: Kwargs) -> RowsToken | None:
        """Start to read rows, also within a call."""
        state = None if self.recorder is None else connection.__dict__.get(STATE_ATTRIBUTE)
        return (state, time_ns()) if isinstance(state, ConnectorConnectionState) else None

    # --- statements ---

    def end_call(
        self, state: Any, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: RowCounts = NO_ROWS, facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call that ends; rows before it are forgotten."""
        state.forget_rows()
        super().end_call(state, connection, operation, start_ns, sql, error, rows, facts)

    def cursor_hook(self, name: str, template: str, hook: Hook) -> Decorator:
        """Wrap a cursor method that sends a statement.

        Args:
            name: Of its first argument: the statement, or what stands in ``template``.
        """

        @never_breaks_the_host
        def on_execute_end(cursor: Any, call: Call, _: Any, error: Error) -> None:
            state, start_ns, args, kwargs = call
            state.inside = 0
            if not state.has_sent and error is None:
                return  # an empty statement, or one of several that are sent as their results are requested
            query = argument(args, kwargs, 0, name)
            text = template % (query,) if template else query
            data = parameter_facts(text, argument(args, kwargs, 1, "params")) if mode.reads_values else ()
            self._end_cursor_call(state, cursor, "", start_ns, text, error, data)
            self._follow_use(state, query, error)

        return hook(self.on_cursor_call, on_execute_end)

    def _end_cursor_call(
        self, state: ConnectorConnectionState, cursor: Any, operation: str, start_ns: int, query: Any, error: Error,
        data: Facts = (),
    ) -> None:  # fmt: skip
        """Record a cursor's call with the rows that it read; others are recorded as the app reads them."""
        connection = _connection_of(cursor)
        read, notices, rows = state.result.rows, state.notices, NO_ROWS
        state.result.sql = query
        if error is None:
            if not getattr(cursor, "description", None):
                count = cursor.rowcount
                rows = (read or UNKNOWN, count if isinstance(count, int) else UNKNOWN)
            elif not _is_unread(connection):
                rows = (read, UNKNOWN)
            notices = notices or getattr(cursor, "_warning_count", 0)
        self.end_call(state, connection, operation, start_ns, query, error, rows, notice_facts(notices) + data)

    @never_breaks_the_host
    def on_nextset_end(self, cursor: Any, call: Call, result: Any, error: Error) -> None:
        """Record the next result of several, if there is one."""
        state, start_ns, _, _ = call
        state.inside = 0
        if result or error is not None:
            self._end_cursor_call(state, cursor, "FETCH", start_ns, state.result.sql, error)

    @never_breaks_the_host
    def on_statement_end(self, connection: Any, call: Call, result: Any, error: Error) -> None:
        """Record ``cmd_query`` and its kin, which the app itself has called."""
        self._end_statement_call(call, connection, "", argument(call[2], call[3], 0, "query"), result, error)

    @never_breaks_the_host
    def on_info_query_end(self, connection: Any, token: Call | DriverQuery, result: Any, error: Error) -> None:
        """Record ``info_query``, or leave out the rows that the driver has read for itself."""
        if isinstance(token, DriverQuery):
            token.state.result.rows = token.rows
        else:
            self.on_statement_end(connection, token, result, error)

    def _end_statement_call(
        self, call: Call, connection: Any, operation: str, query: Any, result: Any, error: Error
    ) -> None:
        state, start_ns, _, _ = call
        state.result.sql, rows = query, NO_ROWS
        if isinstance(result, dict) and "columns" not in result:
            count: Any = result.get("affected_rows")
            rows = (UNKNOWN, count if isinstance(count, int) else UNKNOWN)
        self.end_call(state, connection, operation, start_ns, query, error, rows)
        self._follow_use(state, query, error)

    @never_breaks_the_host
    def on_cursor_end(self, _connection: Any, call: Call, _result: Any, _error: Error) -> None:
        """End ``cursor()`` without a record: what the driver sends meanwhile is no call of the app."""
        call[0].inside = 0

    # --- results of several statements, which a generator gives ---

    @never_breaks_the_host
    def on_step_end(self, connection: Any, call: Call, result: Any, error: Error) -> None:
        """Record one result: the statements are sent with the first, the others are only read."""
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            call[0].inside = 0
            return
        query = argument(call[2], call[3], 0, "statements")
        operation = "FETCH" if call[0].result.sql is query else ""
        self._end_statement_call(call, connection, operation, query, result, error)

    def wrap_iteration(self, original: Function) -> Function:
        """Wrap ``cmd_query_iter``: each of its steps is a call."""

        def cmd_query_iter(self_: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(self_, *args, **kwargs)
            step = call_hook(self.on_statement, self.on_step_end)(lambda *_, **__: next(source))
            try:
                while True:
                    try:
                        result = step(self_, *args, **kwargs)
                    except StopIteration:
                        return
                    yield result
            finally:
                source.close()

        return cmd_query_iter

    def wrap_async_iteration(self, original: Function) -> Function:
        """Wrap the asynchronous ``cmd_query_iter`` likewise."""

        async def cmd_query_iter(self_: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(self_, *args, **kwargs)
            step = async_call_hook(self.on_statement, self.on_step_end)(lambda *_, **__: anext(source))
            try:
                while True:
                    try:
                        result = await step(self_, *args, **kwargs)
                    except StopAsyncIteration:
                        return
                    yield result
            finally:
                await source.aclose()

        return cmd_query_iter

    # --- rows ---

    @never_breaks_the_host
    def on_rows_end(self, connection: Any, token: RowsToken, result: Any, error: Error) -> None:
        """Count rows: recorded by the page and at the end, or with the call that they belong to."""
        state, start_ns = token
        ends = error is not None
        if isinstance(result, tuple) and len(result) == 2:
            rows, end = result
            state.result.rows += len(rows)
            if isinstance(end, dict):
                ends, state.notices = True, end.get("warning_count", 0)
        if state.inside:
            return
        state.result.since_ns = state.result.since_ns or start_ns
        if ends or state.result.rows >= PAGE_ROWS:
            self._record_rows(state, connection, error)

    @never_breaks_the_host
    def on_discard_end(self, _connection: Any, token: RowsToken, _result: Any, _error: Error) -> None:
        """Leave out rows that the driver has read away unrequested."""
        if token[0].inside:
            token[0].result.rows = 0

    @never_breaks_the_host
    def on_close(self, connection: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Record the rows that were read before the connection is closed."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and state.result.rows and not state.inside:
            self._record_rows(state, connection, None)

    def _record_rows(self, state: ConnectorConnectionState, connection: Any, error: Error) -> None:
        read, since_ns, facts = state.result.rows, state.result.since_ns, notice_facts(state.notices)
        self.end_call(state, connection, "FETCH", since_ns, state.result.sql, error, (read, UNKNOWN), facts)


def _connection_of(cursor: Any) -> Any:
    """Return a cursor's connection: in Python a weak reference, and another attribute in the driver's old versions."""
    try:
        connection = getattr(cursor, "_connection", None) or getattr(cursor, "_cnx", None)
        return connection if connection and connection.__dict__ else None
    except ReferenceError:
        return None


def _running_state(connection: Any) -> ConnectorConnectionState | None:
    state = connection.__dict__.get(STATE_ATTRIBUTE)
    return state if isinstance(state, ConnectorConnectionState) and state.inside else None


def _is_unread(connection: Any) -> bool:
    """Return true if rows of the last statement are still to come; reading either property sends nothing."""
    return bool(getattr(connection, "_unread_result", False) or getattr(connection, "unread_result", False))
