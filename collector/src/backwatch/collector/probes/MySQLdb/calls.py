"""The reports of mysqlclient's calls: connect and login, statements, commands, rows that are read as they come."""

import dataclasses
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, NONE, STREAM, Error, MySQLCallObserver
from backwatch.collector.probes.MySQLdb.session import asked, said, told
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, ConnectionState, Facts
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import Wire

_OPTIONS: Final = "_backwatch_options"
"""Where a connection keeps what the app said of it, without the secret."""
_LAST: Final = "_backwatch_statement"
"""Where a cursor keeps its last statement as the app passed it, for results that are fetched later."""
_CLIENT_ERRORS: Final = range(2000, 3000)
"""Numbers of the library's own errors: the connection may be another one, or none, from then on."""


class MySQLConnectionState(ConnectionState):
    """A link that knows when its descriptor is no longer to be trusted."""

    __slots__ = ("doubtful",)

    def __init__(self, session: Session, wire: Wire | None) -> None:
        super().__init__(session, wire)
        self.doubtful = False


class MySQLdbCallObserver(MySQLCallObserver):
    """Follows mysqlclient's connections and cursors."""

    def __init__(self, recorder: Recorder, extension: str, unbuffered: type) -> None:
        super().__init__(recorder)
        self._extension = extension
        self._unbuffered = unbuffered

    # --- what the driver says for itself ---

    def is_open(self, connection: Any) -> bool:
        """Whether the app has not closed it."""
        return bool(connection.open)

    def adopt_connection(self, connection: Any) -> ConnectionState:
        """The link of a connection that was opened before we were there: what was asked for is unknown."""
        options = {"host": getattr(connection, "host", None), "user": getattr(connection, "user", None)}
        options["database"] = getattr(connection, "database", None) or getattr(connection, "db", None)
        state = self._open_state(connection, {name: value for name, value in options.items() if value})
        state.session = dataclasses.replace(state.session, requested="", requested_explicit=None)
        if state.wire is not None:
            state.wire.since_last()
        return state

    def streams(self, cursor: Any) -> bool:
        """Whether it is a cursor that reads row by row."""
        return isinstance(cursor, self._unbuffered)

    def rows_of(self, connection: Any) -> tuple[int, int]:
        """Affected rows of a statement that returns none; others are still to be fetched."""
        return NONE if connection.field_count() else (UNKNOWN, connection.affected_rows())

    def notices(self, cursor: Any) -> Facts:
        """The warnings that the answer counted."""
        count = getattr(cursor, "warning_count", None)  # 2.1 and 2.2 keep it in the connection alone
        if count is None and cursor.connection is not None:
            count = cursor.connection.warning_count()
        return ((names.NOTICES, count),) if isinstance(count, int) and count > 0 else ()

    def _open_state(self, connection: Any, options: dict[str, Any]) -> MySQLConnectionState:
        descriptor = connection.fileno()
        state = MySQLConnectionState(told(connection, options, descriptor, self._extension), Wire(descriptor))
        connection.__dict__[STATE_ATTRIBUTE] = state
        return state

    def _left(
        self, state: ConnectionState, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE, facts: Facts = (),
    ) -> None:  # fmt: skip
        if error is not None:
            code = error.args[0] if error.args else None
            if isinstance(state, MySQLConnectionState) and type(code) is int and code in _CLIENT_ERRORS:
                state.doubtful, wire, state.wire = True, state.wire, None
                super()._left(state, connection, operation, start_ns, sql, error, rows, facts)
                state.wire = wire
                return
        elif (
            isinstance(state, MySQLConnectionState)
            and state.doubtful
            and state.wire is not None
            and connection is not None
        ):
            # The library has connected anew: its counters begin at zero.
            state.wire.rebind(connection.fileno())
            state.doubtful = False
        super()._left(state, connection, operation, start_ns, sql, error, rows, facts)

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> MySQLConnectionState | None:
        """A connection begins; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        options = said(args, kwargs)
        state = connection.__dict__[STATE_ATTRIBUTE] = MySQLConnectionState(asked(connection, options), None)
        connection.__dict__[_OPTIONS] = options
        state.inside = 1
        return state

    @never_breaks_the_host
    def connected(self, connection: Any, state: MySQLConnectionState | None, start_ns: int, error: Error) -> None:
        """It stands, or it failed."""
        if state is None:
            return
        options = connection.__dict__.pop(_OPTIONS)
        if error is None:
            state = self._open_state(connection, options)
            super()._left(state, connection, "connect", start_ns, None, None)
        else:
            state.session = asked(connection, options)
            super()._left(state, None, "connect", start_ns, None, error)

    @never_breaks_the_host
    def changed(
        self,
        connection: Any,
        state: MySQLConnectionState | None,
        account: Any,
        namespace: Any,
        start_ns: int,
        error: Error,
    ) -> None:
        """``change_user``: another login on the same connection; one that fails leaves it as it was."""
        if state is None:
            return
        before = state.session
        state.session = dataclasses.replace(
            before, account=words(account, MAX_TEXT), namespace=words(namespace, MAX_TEXT), encoded=[]
        )
        self._left(state, connection, "login", start_ns, None, error)
        if error is not None:
            state.session = before

    # --- statements ---

    @never_breaks_the_host
    def executed(
        self, cursor: Any, state: ConnectionState | None, query: Any, start_ns: int, error: Error, phrase: str
    ) -> None:
        """``execute``, ``executemany``, ``callproc``: once for the whole of it."""
        if state is not None:
            cursor.__dict__[_LAST] = query
            super().executed(cursor, state, query, start_ns, error, phrase)

    @never_breaks_the_host
    def advanced(self, cursor: Any, state: ConnectionState | None, start_ns: int, result: Any, error: Error) -> None:
        """``nextset``: the next result of several, if there is one."""
        if state is None:
            return
        state.inside = 0
        if error is None and result is None:
            return
        query, rows = cursor.__dict__.get(_LAST), NONE
        facts: Facts = ()
        if error is None:
            facts = self.notices(cursor)
            count = cursor.rowcount if isinstance(cursor.rowcount, int) else UNKNOWN
            rows = (count, UNKNOWN) if cursor.description else (UNKNOWN, count)
            if cursor.description and self.streams(cursor):
                cursor.__dict__[STREAM] = (query, 0, time_ns())
        self._left(state, cursor.connection, "FETCH", start_ns, query, error, rows, facts)

    @never_breaks_the_host
    def commits(self, connection: Any) -> bool:
        """Whether every statement is a transaction of its own, as the driver last heard."""
        return bool(connection.open and connection.get_autocommit())

    @never_breaks_the_host
    def switched(
        self, connection: Any, state: ConnectionState | None, before: bool | None, start_ns: int, error: Error
    ) -> None:
        """``autocommit``: sent only where it changes anything, which the driver itself looks at."""
        if state is None:
            return
        state.inside = 0
        if error is not None or self.commits(connection) is not before:
            self._left(state, connection, "SET", start_ns, "SET AUTOCOMMIT = 1", error)
