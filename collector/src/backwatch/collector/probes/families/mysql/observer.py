"""What the probes of MySQL's drivers share: a connection's link, statements and commands, rows read as they come."""

import dataclasses
import re
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    Facts,
)
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

Error = BaseException | None

MAX_TEXT: Final = 200
NONE: Final = (UNKNOWN, UNKNOWN)
STREAM: Final = "_backwatch_stream"
"""Where an unbuffered cursor keeps its statement, how many of its rows have been told, and since when it reads."""
PAGE_ROWS: Final = 1000
_MAY_BE_USE: Final = frozenset("uU \t\n")
_USE: Final = re.compile(r"\s*use\s+`?([^`;\s]{1,64})`?\s*;?\s*", re.IGNORECASE)


def renamed(session: Session, namespace: str) -> Session:
    """The same session after another database was chosen."""
    return dataclasses.replace(session, namespace=namespace, encoded=[])


def code_of(error: Error) -> Facts:
    """The service's number for what went wrong, where it is the error's first argument."""
    if error is not None and error.args and type(error.args[0]) is int and error.args[0] > 0:
        return ((names.STATUS_CODE, str(error.args[0])),)
    return ()


class MySQLCallObserver(CallObserver):
    """Follows the connections and cursors of one driver."""

    # --- what each driver says for itself ---

    def is_open(self, connection: Any) -> bool:
        """Whether the connection stands; only then does its descriptor name its own socket."""
        raise NotImplementedError

    def adopt_connection(self, connection: Any) -> ConnectionState:
        """The link of an open connection that was made before we were there; kept in its ``__dict__``."""
        raise NotImplementedError

    def streams(self, cursor: Any) -> bool:
        """Whether this cursor's last statement has rows that are still to be read."""
        return cursor.rowcount >= MAX_ROWS

    def is_read(self, cursor: Any) -> bool:
        """Whether all rows have been read, or lie in the driver's own memory."""
        del cursor
        return False

    def rows_of(self, connection: Any) -> tuple[int, int]:
        """Returned and affected rows of the connection's last statement, which came through no cursor."""
        del connection
        return NONE

    def facts_of(self, state: ConnectionState) -> Facts:
        """What is to be told with the call that ends, once."""
        del state
        return ()

    # --- calls of the app's ---

    @never_breaks_the_host
    def entered(self, connection: Any) -> Any:
        """The link of the app's call that begins; ``None`` where it lies inside another, or nothing is to be told."""
        return self._entered(connection)

    def _entered(self, connection: Any) -> ConnectionState | None:
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

    @never_breaks_the_host
    def left(
        self, state: ConnectionState | None, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE,
    ) -> None:  # fmt: skip
        """Tells the call of the app's that ends."""
        if state is not None:
            self._left(state, connection, operation, start_ns, sql, error, rows)

    def _left(
        self, state: ConnectionState, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE, facts: Facts = (),
    ) -> None:  # fmt: skip
        state.inside = 0
        facts += self.facts_of(state) + code_of(error)
        lost = connection is None or not self.is_open(connection)
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    # --- statements ---

    @never_breaks_the_host
    def cursor_entered(self, cursor: Any) -> Any:
        """The link of a cursor's call that begins; rows of its last statement are told first."""
        if STREAM in cursor.__dict__:
            self.streamed(cursor, cursor.connection, ends=True)
        return self._entered(cursor.connection)

    @never_breaks_the_host
    def executed(
        self, cursor: Any, state: ConnectionState | None, query: Any, start_ns: int, error: Error, phrase: str
    ) -> None:
        """``execute``, ``executemany``, ``callproc``: once for the whole of it."""
        if state is None:
            return
        state.inside = 0
        if phrase:
            query = phrase % (query.decode("utf-8", "replace") if isinstance(query, bytes) else query,)
        rows: tuple[int, int] = NONE
        facts: Facts = ()
        if error is None:
            facts = self.notices(cursor)
            count = cursor.rowcount if isinstance(cursor.rowcount, int) else UNKNOWN
            rows = (count, UNKNOWN) if cursor.description else (UNKNOWN, count)
            if cursor.description and self.streams(cursor):
                cursor.__dict__[STREAM] = (query, 0, time_ns())
        self._left(state, cursor.connection, "", start_ns, query, error, rows, facts)
        self.used(state, query, error)

    def used(self, state: ConnectionState, query: Any, error: Error) -> None:
        """Was it ``USE name``? Then another database was chosen."""
        if error is None and isinstance(query, str) and query[:1] in _MAY_BE_USE:
            found = _USE.fullmatch(query)
            if found:
                state.session = renamed(state.session, found[1])

    @never_breaks_the_host
    def queried(self, connection: Any, state: ConnectionState | None, query: Any, start_ns: int, error: Error) -> None:
        """``Connection.query``, called by the app itself."""
        if state is not None:
            state.inside = 0
            rows = self.rows_of(connection) if error is None else NONE
            self._left(state, connection, "", start_ns, query, error, rows)

    def notices(self, cursor: Any) -> Facts:
        """How many warnings came with the answer, where the driver says so without asking."""
        del cursor
        return ()

    @never_breaks_the_host
    def chosen(self, connection: Any, state: ConnectionState | None, namespace: Any, start_ns: int) -> None:
        """Another database was chosen; the driver itself may go on saying the old name."""
        if state is not None:
            state.session = renamed(state.session, words(namespace, MAX_TEXT))
            self._left(state, connection, "USE", start_ns, None, None)

    # --- rows read as they come ---

    @never_breaks_the_host
    def streamed(self, cursor: Any, connection: Any, *, ends: bool, error: Error = None, read: Any = None) -> None:
        """Rows of an unbuffered cursor were read: told by the page, at the end, when it is closed or used anew.

        Args:
            read: How many rows in all, where the cursor itself no longer says.
        """
        stream = cursor.__dict__.get(STREAM)
        if stream is None:
            return
        query, before, since_ns = stream
        number = cursor.rownumber if read is None else read
        rows = number - before
        ends = ends or self.is_read(cursor)
        if not ends and rows < PAGE_ROWS:
            return
        if ends:
            del cursor.__dict__[STREAM]
        else:
            cursor.__dict__[STREAM] = (query, number, time_ns())
        self.left(self.entered(connection), connection, "FETCH", since_ns, query, error, (rows, UNKNOWN))
