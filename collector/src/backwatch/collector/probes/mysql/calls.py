"""The reports of mysql-connector-python's calls: statements, results, rows as they are read."""

from typing import Any

from backwatch.collector import names
from backwatch.collector.probes.families.mysql.observer import NONE, PAGE_ROWS, Error
from backwatch.collector.probes.mysql.connect import Args, ConnectorConnections, Kwargs
from backwatch.collector.probes.mysql.session import ConnectorConnectionState
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, Facts, argument
from backwatch.collector.runtime.guard import never_breaks_the_host


class ConnectorCallObserver(ConnectorConnections):
    """Follows the driver's connections and cursors; every report is given what it needs to find the call's link."""

    # --- where a call begins ---

    @never_breaks_the_host
    def of_connection(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """The link of a connection's call; ``None`` where it lies inside another, or nothing is to be told."""
        del args, kwargs
        return self._begun(connection)

    @never_breaks_the_host
    def of_cursor(self, cursor: Any, args: Args, kwargs: Kwargs) -> Any:
        """The link of a cursor's call likewise; rows that were read before are told first."""
        del args, kwargs
        return self._begun(_connection_of(cursor))

    @never_breaks_the_host
    def of_statement(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """The link of what sends a statement; inside a cursor's call it is noted there that something was sent."""
        del args, kwargs
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and state.inside:
            state.sent = True
            return None
        return self._begun(connection)

    @never_breaks_the_host
    def of_question(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """``info_query``: inside a call it is the driver's own question, whose rows are nobody's."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and state.inside:
            return state, state.read
        return self.of_statement(connection, args, kwargs)

    @never_breaks_the_host
    def of_rows(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """The link of a connection whose rows are about to be read, whoever reads them."""
        del args, kwargs
        return None if self.recorder is None else connection.__dict__.get(STATE_ATTRIBUTE)

    def _begun(self, connection: Any) -> Any:
        state = self._entered(connection)
        if isinstance(state, ConnectorConnectionState):
            if state.read:
                self._tell_rows(state, connection, None)
                state.inside = 1
            state.sent = False
        return state

    # --- statements ---

    def _done(
        self, state: ConnectorConnectionState, cursor: Any, operation: str, start_ns: int, query: Any, error: Error
    ) -> None:
        """Tells a cursor's call, with the rows that it read itself; others are told as the app reads them."""
        connection = _connection_of(cursor)
        read, notices, rows = state.read, state.notices, NONE
        state.forget()
        state.statement = query
        if error is None:
            if not getattr(cursor, "description", None):
                count = cursor.rowcount
                rows = (read or UNKNOWN, count if isinstance(count, int) else UNKNOWN)
            elif not _is_unread(connection):
                rows = (read, UNKNOWN)
            notices = notices or getattr(cursor, "_warning_count", 0)
        facts: Facts = ((names.NOTICES, notices),) if isinstance(notices, int) and notices > 0 else ()
        self._left(state, connection, operation, start_ns, query, error, rows, facts)

    def executed_as(self, name: str, phrase: str = "") -> Any:
        """The report of a cursor's method.

        Args:
            name: Its first argument: the statement, or what stands in ``phrase``.
        """

        @never_breaks_the_host
        def executed(
            state: Any, cursor: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
        ) -> None:
            del result
            if state is None:
                return
            state.inside = 0
            if not state.sent and error is None:
                return  # an empty statement, or one of several that are sent as their results are asked for
            query = argument(args, kwargs, 0, name)
            self._done(state, cursor, "", start_ns, phrase % (query,) if phrase else query, error)
            self.used(state, query, error)

        return executed

    @never_breaks_the_host
    def advanced(
        self, state: Any, cursor: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """``nextset``: the next result of several, if there is one."""
        del args, kwargs
        if state is None:
            return
        state.inside = 0
        if result or error is not None:
            self._done(state, cursor, "FETCH", start_ns, state.statement, error)

    @never_breaks_the_host
    def stated(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """``cmd_query`` and its kin, called by the app itself."""
        self._stated(state, connection, "", argument(args, kwargs, 0, "query"), start_ns, result, error)

    @never_breaks_the_host
    def questioned(
        self, token: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """The answer to ``info_query``."""
        if isinstance(token, tuple):
            state, state.read = token
        else:
            self.stated(token, connection, args, kwargs, start_ns, result, error)

    @never_breaks_the_host
    def stepped(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """``cmd_query_iter``: the statements are sent with the first result, the others only read."""
        query = argument(args, kwargs, 0, "statements")
        again = state is not None and state.statement is query
        self._stated(state, connection, "FETCH" if again else "", query, start_ns, result, error)

    def _stated(
        self, state: Any, connection: Any, operation: str, query: Any, start_ns: int, result: Any, error: Error
    ) -> None:
        if state is None:
            return
        state.statement, rows = query, NONE
        if isinstance(result, dict) and "columns" not in result:
            count: Any = result.get("affected_rows")
            rows = (UNKNOWN, count if isinstance(count, int) else UNKNOWN)
        state.forget()
        self._left(state, connection, operation, start_ns, query, error, rows)
        self.used(state, query, error)

    def commanded(self, operation: str, sql: str | None) -> Any:
        """The report of a method that sends one command of its own."""

        @never_breaks_the_host
        def commanded(
            state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
        ) -> None:
            del args, kwargs, result
            if state is not None:
                state.forget()
                self._left(state, connection, operation, start_ns, sql, error)

        return commanded

    @never_breaks_the_host
    def passed(
        self, state: Any, owner: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """What the driver sends by itself meanwhile is no call of the app's."""
        del owner, args, kwargs, start_ns, result, error
        if state is not None:
            state.inside = 0

    @never_breaks_the_host
    def selected(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """Another database was chosen."""
        del result
        if error is None:
            self.chosen(connection, state, argument(args, kwargs, 0, "database"), start_ns)
        elif state is not None:
            self._left(state, connection, "USE", start_ns, None, error)

    # --- rows ---

    @never_breaks_the_host
    def rows_read(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """Rows came in: told by the page and at the end, or with the call that they belong to."""
        del args, kwargs
        if not isinstance(state, ConnectorConnectionState):
            return
        ends = error is not None
        if isinstance(result, tuple) and len(result) == 2:
            rows, end = result
            state.read += len(rows)
            if isinstance(end, dict):
                ends, state.notices = True, end.get("warning_count", 0)
        if state.inside:
            return
        state.since_ns = state.since_ns or start_ns
        if ends or state.read >= PAGE_ROWS:
            self._tell_rows(state, connection, error)

    @never_breaks_the_host
    def dropped(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """Rows that nobody wanted were read away: they are nobody's answer."""
        del connection, args, kwargs, start_ns, result, error
        if isinstance(state, ConnectorConnectionState) and state.inside:
            state.read = 0

    @never_breaks_the_host
    def ending(self, connection: Any, *_: Any) -> None:
        """The connection is about to be closed: rows that were read and not told are told."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and state.read and not state.inside:
            self._tell_rows(state, connection, None)

    def _tell_rows(self, state: ConnectorConnectionState, connection: Any, error: Error) -> None:
        read, since_ns, notices = state.read, state.since_ns, state.notices
        state.forget()
        facts: Facts = ((names.NOTICES, notices),) if notices > 0 else ()
        self._left(state, connection, "FETCH", since_ns, state.statement, error, (read, UNKNOWN), facts)


def _connection_of(cursor: Any) -> Any:
    """A cursor's connection; in Python it is held weakly, and in the driver's older versions by another name."""
    try:
        connection = getattr(cursor, "_connection", None) or getattr(cursor, "_cnx", None)
        return connection if connection and connection.__dict__ else None
    except ReferenceError:
        return None


def _is_unread(connection: Any) -> bool:
    """Whether rows of the last statement are still to come; both properties only look."""
    return bool(getattr(connection, "_unread_result", False) or getattr(connection, "unread_result", False))
