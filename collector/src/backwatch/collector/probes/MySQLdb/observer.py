"""Observation of mysqlclient: connect and login, statements, commands, rows that are read piece by piece."""

from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.observer import Call, MySQLCallObserver
from backwatch.collector.probes.families.mysql.state import MySQLConnectionState
from backwatch.collector.probes.MySQLdb.session import describe_connection, describe_request, read_options
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    NO_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    RowCounts,
    argument,
)
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Kwargs, call_hook
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import SocketCounters

_STATEMENT: Final = "_backwatch_statement"
"""Attribute of a cursor: its last statement as the app passed it, for results that are fetched later."""
_CLIENT_ERRORS: Final = range(2000, 3000)
"""Numbers of the client library's own errors. After one, the connection may be another one, or closed."""


class MySQLdbConnectionState(MySQLConnectionState):
    """A connection state that knows when its descriptor is no longer reliable."""

    __slots__ = ("is_doubtful",)

    def __init__(self, session: Any, wire: SocketCounters | None = None) -> None:
        super().__init__(session, wire)
        self.is_doubtful = False


class MySQLdbCallObserver(MySQLCallObserver):
    """Follows mysqlclient's connections and cursors."""

    def __init__(self, recorder: Recorder, extension: str, unbuffered: type) -> None:
        super().__init__(recorder)
        self._extension = extension
        self._unbuffered = unbuffered

    def is_open(self, connection: Any) -> bool:
        """Return true until the app closes the connection."""
        return bool(connection.open)

    def adopt_connection(self, connection: Any) -> MySQLdbConnectionState:
        """Keep and return the state of a connection that is older than the probe, whose options are unknown."""
        options = {"host": getattr(connection, "host", None), "user": getattr(connection, "user", None)}
        options["database"] = getattr(connection, "database", None) or getattr(connection, "db", None)
        state = self._open_state(connection, {name: value for name, value in options.items() if value})
        state.change_session(requested="", requested_explicit=None)
        state.skip_earlier_bytes()
        return state

    def has_unread_rows(self, cursor: Any) -> bool:
        """Return true for a cursor that reads row by row."""
        return isinstance(cursor, self._unbuffered)

    def count_rows(self, connection: Any) -> RowCounts:
        """Return the affected rows of a statement that returns none; other rows are still to be fetched."""
        return NO_ROWS if connection.field_count() else (UNKNOWN, connection.affected_rows())

    def count_warnings(self, cursor: Any) -> object:
        """Return the number of warnings of the last response."""
        count = getattr(cursor, "warning_count", None)  # 2.1 and 2.2 keep it in the connection alone
        return cursor.connection.warning_count() if count is None and cursor.connection is not None else count

    def _open_state(self, connection: Any, options: dict[str, Any]) -> MySQLdbConnectionState:
        descriptor = connection.fileno()
        session = describe_connection(connection, options, descriptor, self._extension)
        state = connection.__dict__[STATE_ATTRIBUTE] = MySQLdbConnectionState(session, SocketCounters(descriptor))
        return state

    def end_call(
        self, state: Any, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: RowCounts = NO_ROWS, facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call that ends, and follow reconnections of the client library."""
        wire = state.wire
        if error is not None:
            code = error.args[0] if error.args else None
            if type(code) is int and code in _CLIENT_ERRORS:
                state.is_doubtful, state.wire = True, None
        elif state.is_doubtful and wire is not None and connection is not None:
            # The library has connected again: the counters of its new socket begin at zero.
            wire.rebind(connection.fileno())
            state.is_doubtful = False
        super().end_call(state, connection, operation, start_ns, sql, error, rows, facts)
        state.wire = wire

    # --- connect and login ---

    @never_breaks_the_host
    def on_connect(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """Start a connection; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        options = read_options(args, kwargs)
        state = connection.__dict__[STATE_ATTRIBUTE] = MySQLdbConnectionState(describe_request(connection, options))
        state.inside = 1
        return state, time_ns(), options

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Record that the connection is established, or has failed."""
        state, start_ns, options = token
        if error is None:
            state = self._open_state(connection, options)
        else:
            state.session = describe_request(connection, options)
        super().end_call(state, connection if error is None else None, "connect", start_ns, None, error)

    @never_breaks_the_host
    def on_change_user_end(self, connection: Any, call: Call, _result: Any, error: Error) -> None:
        """Record another login on the same connection; a failed one leaves the session as it was."""
        state, start_ns, args, kwargs = call
        before = state.session
        state.change_session(
            account=words(argument(args, kwargs, 0, "user"), MAX_TEXT_CHARACTERS),
            namespace=words(argument(args, kwargs, 2, "database"), MAX_TEXT_CHARACTERS),
        )
        self.end_call(state, connection, "login", start_ns, None, error)
        if error is not None:
            state.session = before

    # --- statements ---

    def _end_statement(
        self, cursor: Any, state: Any, operation: str, start_ns: int, query: Any, error: Error, facts: Facts = ()
    ) -> None:  # fmt: skip
        cursor.__dict__[_STATEMENT] = query
        super()._end_statement(cursor, state, operation, start_ns, query, error, facts)

    @never_breaks_the_host
    def on_nextset_end(self, cursor: Any, call: Call, result: Any, error: Error) -> None:
        """Record the next result of several, if there is one."""
        state, start_ns, _, _ = call
        state.inside = 0
        if error is not None or result is not None:
            self._end_statement(cursor, state, "FETCH", start_ns, cursor.__dict__.get(_STATEMENT), error)

    # --- autocommit ---

    @never_breaks_the_host
    def _is_autocommit(self, connection: Any) -> bool:
        return bool(connection.open and connection.get_autocommit())

    @never_breaks_the_host
    def on_autocommit(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """Start a change of the mode, which the driver sends only where it changes anything."""
        call = self.on_call(connection, args, kwargs)
        return None if call is None else (*call[:2], self._is_autocommit(connection))

    @never_breaks_the_host
    def on_autocommit_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Record the statement, if it was sent."""
        state, start_ns, before = token
        state.inside = 0
        if error is not None or self._is_autocommit(connection) is not before:
            self.end_call(state, connection, "SET", start_ns, "SET AUTOCOMMIT = 1", error)

    # --- unbuffered cursors ---

    @never_breaks_the_host
    def on_rows(self, cursor: Any, _args: Args, _kwargs: Kwargs) -> tuple[Any, Any]:
        """Keep the cursor's connection and position, which it no longer has once it is closed."""
        return getattr(cursor, "connection", None), getattr(cursor, "rownumber", None)

    def fetch_hook(self, size: str) -> Decorator:
        """Wrap a method that reads rows of a cursor that does not keep them.

        Args:
            size: ``one``, ``many`` or ``all`` at once.
        """

        def on_fetch_end(cursor: Any, token: tuple[Any, Any], result: Any, error: Error) -> None:
            if error is not None:
                self.record_fetch(cursor, token[0], ends=True, error=error)
            elif not result or size != "one":
                self.record_fetch(cursor, token[0], ends=not result or size == "all")

        return call_hook(self.on_rows, on_fetch_end)

    def on_close_end(self, cursor: Any, token: tuple[Any, Any], _result: Any, _error: Error) -> None:
        """Record the rows that were read before the cursor was closed, which reads those that the app left."""
        self.record_fetch(cursor, token[0], ends=True, position=token[1])
