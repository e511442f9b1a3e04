"""Observation of MySQL drivers: connections, statements, commands, and rows that are read piece by piece."""

import re
from collections.abc import Iterable
from time import time_ns
from typing import Any, Final

from backwatch.collector.exposure import mode
from backwatch.collector.exposure.rows import description_names, parameter_facts, reads_rows, row_facts
from backwatch.collector.probes.families.mysql.state import MySQLConnectionState
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_ROWS,
    MAX_TEXT_CHARACTERS,
    NO_ROWS,
    PAGE_ROWS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    OpenResult,
    RowCounts,
    argument,
    notice_facts,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Function, Kwargs, call_hook
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts

_MAY_BE_USE: Final = frozenset("uU \t\n")
_USE: Final = re.compile(r"\s*use\s+`?([^`;\s]{1,64})`?\s*;?\s*", re.IGNORECASE)

Call = tuple[Any, int, Args, Kwargs]
"""A call of the app that is running: connection state, start, arguments, keyword arguments."""


class CursorResult(OpenResult):
    """The result of an unbuffered cursor.

    Attributes:
        reported: The cursor's ``rownumber`` at the last report.
    """

    __slots__ = ("reported",)

    def __init__(self, sql: object) -> None:
        super().__init__(sql, time_ns())
        self.reported = 0


def error_code(error: Error) -> Facts:
    """Return the server's error number, where it is the error's first argument."""
    return status_facts(error.args[0]) if error is not None and error.args and type(error.args[0]) is int else ()


class MySQLCallObserver(CallObserver):
    """Follows the connections and cursors of one driver."""

    # --- questions that each driver answers ---

    def is_open(self, connection: Any) -> bool:
        """Return true if the connection is open; only then does its descriptor name its own socket."""
        raise NotImplementedError

    def adopt_connection(self, connection: Any) -> MySQLConnectionState:
        """Keep and return the state of an open connection that is older than the probe."""
        raise NotImplementedError

    def has_unread_rows(self, cursor: Any) -> bool:
        """Return true if rows of the cursor's last statement are still to be read from the server."""
        return cursor.rowcount >= MAX_ROWS

    def is_read(self, cursor: Any) -> bool:
        """Return true if all rows have been read, or are in the driver's memory."""
        del cursor
        return False

    def count_rows(self, connection: Any) -> RowCounts:
        """Return the row counts of the last statement, which was sent without a cursor."""
        del connection
        return NO_ROWS

    def read_rows(self, cursor: Any) -> Iterable[Any]:
        """Return rows of the last statement that the driver holds in memory."""
        rows = cursor.__dict__.get("_rows")
        return rows if rows.__class__ is tuple or rows.__class__ is list else ()

    def count_warnings(self, cursor: Any) -> object:
        """Return the number of warnings that came with the response, where the driver has it without a query."""
        del cursor

    # --- calls of the app ---

    def _enter(self, connection: Any) -> Any:
        if self.recorder is None or connection is None:
            return None
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None:
            if not self.is_open(connection):
                return None
            state = self.adopt_connection(connection)
        if state.inside:
            return None
        state.inside = 1
        return state

    def end_call(
        self, state: Any, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: RowCounts = NO_ROWS, facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call that ends."""
        state.inside = 0
        facts += state.take_local_file() + error_code(error)
        lost = connection is None or not self.is_open(connection)
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    @never_breaks_the_host
    def on_call(self, connection: Any, args: Args, kwargs: Kwargs) -> Call | None:
        """Start a call on a connection; ``None`` inside another call, which it is a part of."""
        state = self._enter(connection)
        return None if state is None else (state, time_ns(), args, kwargs)

    @never_breaks_the_host
    def on_cursor_call(self, cursor: Any, args: Args, kwargs: Kwargs) -> Call | None:
        """Start a call on a cursor likewise; rows of its last statement are recorded first."""
        if RESULT_ATTRIBUTE in cursor.__dict__:
            self.record_fetch(cursor, cursor.connection, ends=True)
        state = self._enter(cursor.connection)
        return None if state is None else (state, time_ns(), args, kwargs)

    # --- statements ---

    def execute_hook(self, name: str, template: str = "") -> Decorator:
        """Wrap a cursor method that sends a statement.

        Args:
            name: Of its first argument: the statement, or what stands in ``template``.
        """

        @never_breaks_the_host
        def on_execute_end(cursor: Any, call: Call, _: Any, error: Error) -> None:
            state, start_ns, args, kwargs = call
            state.inside = 0
            query = argument(args, kwargs, 0, name)
            if template:
                query = template % (query.decode("utf-8", "replace") if isinstance(query, bytes) else query,)
            data = parameter_facts(query, argument(args, kwargs, 1, "args")) if mode.reads_values else ()
            self._end_statement(cursor, state, "", start_ns, query, error, data)
            self._follow_use(state, query, error)

        return call_hook(self.on_cursor_call, on_execute_end)

    def _end_statement(
        self, cursor: Any, state: Any, operation: str, start_ns: int, query: Any, error: Error, facts: Facts = ()
    ) -> None:  # fmt: skip
        rows: RowCounts = NO_ROWS
        if error is None:
            facts += notice_facts(self.count_warnings(cursor))
            if cursor.description and reads_rows(query):
                facts += row_facts(
                    query, lambda: description_names(cursor.description), lambda: self.read_rows(cursor)
                )  # fmt: skip
            count = cursor.rowcount if isinstance(cursor.rowcount, int) else UNKNOWN
            rows = (count, UNKNOWN) if cursor.description else (UNKNOWN, count)
            if cursor.description and self.has_unread_rows(cursor):
                cursor.__dict__[RESULT_ATTRIBUTE] = CursorResult(query)
        self.end_call(state, cursor.connection, operation, start_ns, query, error, rows, facts)

    def _follow_use(self, state: Any, query: Any, error: Error) -> None:
        """Change the session's database after ``USE name``."""
        if error is None and isinstance(query, str) and query[:1] in _MAY_BE_USE:
            found = _USE.fullmatch(query)
            if found:
                state.change_session(namespace=found[1])

    def query_hook(self) -> Decorator:
        """Wrap ``Connection.query``, which nearly always a cursor calls, and sometimes the app itself."""

        @never_breaks_the_host
        def on_query_end(connection: Any, call: Call, _: Any, error: Error) -> None:
            state, start_ns, args, kwargs = call
            state.inside = 0
            rows = self.count_rows(connection) if error is None else NO_ROWS
            self.end_call(state, connection, "", start_ns, argument(args, kwargs, 0, "sql"), error, rows)

        observe = call_hook(self.on_call, on_query_end)

        def wrap_query(original: Function) -> Function:
            observed = observe(original)

            def query(self: Any, *args: Any, **kwargs: Any) -> Any:
                state: Any = getattr(self, STATE_ATTRIBUTE, None)
                if state is not None and state.inside:  # sent by a cursor
                    return original(self, *args, **kwargs)
                return observed(self, *args, **kwargs)

            return query

        return wrap_query

    # --- commands ---

    def command_hook(self, operation: str, sql: str | None, hook: Any = call_hook) -> Decorator:
        """Wrap a connection's method that sends one fixed command."""

        @never_breaks_the_host
        def on_command_end(connection: Any, call: Call, _: Any, error: Error) -> None:
            self.end_call(call[0], connection, operation, call[1], sql, error)

        return hook(self.on_call, on_command_end)

    def select_hook(self, name: str, hook: Any = call_hook) -> Decorator:
        """Wrap a method that selects another database; the driver itself may keep the old name.

        Args:
            name: Of the argument that names the database.
        """

        @never_breaks_the_host
        def on_select_end(connection: Any, call: Call, _: Any, error: Error) -> None:
            state, start_ns, args, kwargs = call
            if error is None:
                state.change_session(namespace=words(argument(args, kwargs, 0, name), MAX_TEXT_CHARACTERS))
            self.end_call(state, connection, "USE", start_ns, None, error)

        return hook(self.on_call, on_select_end)

    # --- rows that are read piece by piece ---

    @never_breaks_the_host
    def record_fetch(
        self, cursor: Any, connection: Any, *, ends: bool, error: Error = None, position: int | None = None
    ) -> None:
        """Record rows that an unbuffered cursor has read: by the page, at the end, and before its next use.

        Args:
            position: How many rows were read in all, where the cursor itself no longer knows.
        """
        result = cursor.__dict__.get(RESULT_ATTRIBUTE)
        if result is None:
            return
        position = cursor.rownumber if position is None else position
        result.rows = position - result.reported
        ends = ends or self.is_read(cursor)
        if not ends and result.rows < PAGE_ROWS:
            return
        if ends:
            del cursor.__dict__[RESULT_ATTRIBUTE]
        rows, since_ns = result.take_rows()
        result.reported, result.since_ns = position, time_ns()
        state = self._enter(connection)
        if state is not None:
            self.end_call(state, connection, "FETCH", since_ns, result.sql, error, (rows, UNKNOWN))
