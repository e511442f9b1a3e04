"""Observation of psycopg2's calls. Facts of a connection come from libpq itself, once per connection."""

import re
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure import mode
from backwatch.collector.exposure.rows import parameter_facts, reads_rows, row_facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.postgresql.errors import refused_login_facts
from backwatch.collector.probes.families.postgresql.libpq import load_libpq
from backwatch.collector.probes.families.postgresql.session import describe_connection, describe_request
from backwatch.collector.probes.families.postgresql.state import CHANGES
from backwatch.collector.probes.toolkit.dbapi import (
    NO_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    RowCounts,
    argument,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Decorator, Enter, Error, Kwargs, call_hook
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

_READY: Final = 1
"""``STATUS_READY``: no transaction is open."""
_PARAMETERS: Final = "_backwatch_parameters"
"""Attribute of a connection that ``poll`` drives: the app's own parameters."""
_STATEMENT: Final = "_backwatch_sql"
"""Attribute of a cursor: its last statement."""
_COPY: Final = frozenset(("copy", "COPY", "Copy", b"copy", b"COPY"))
_COPY_OUT: Final = re.compile(r"\bto\s+stdout\b", re.IGNORECASE)
_ESTIMATED: Final[Facts] = ((names.BYTES_ESTIMATED, True),)


class Psycopg2CallObserver(CallObserver):
    """Follows psycopg2's connections and cursors."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        super().__init__(recorder)
        self._module = module

    # --- connect and login ---

    def _describe(self, connection: Any, explicit: dict[str, str] | None) -> Session:
        info, pgconn = connection.info, connection.pgconn_ptr
        library = load_libpq(str(self._module._psycopg.__file__))
        parameters = {
            "host": info.host or "", "hostaddr": "" if library is None else library.read_peer(pgconn),
            "port": str(info.port), "user": info.user or "", "dbname": info.dbname or "",
            "sslmode": info.dsn_parameters.get("sslmode", ""),
        }  # fmt: skip
        return describe_connection(
            library, pgconn, parameters, explicit, uses_tls=bool(info.ssl_in_use),
            server_version=info.parameter_status("server_version"), is_superuser=info.parameter_status("is_superuser"),
        )  # fmt: skip

    def _parse_dsn(self, dsn: Any) -> dict[str, str]:
        if not isinstance(dsn, (str, bytes)):
            return {}
        try:
            parsed = self._module.extensions.parse_dsn(dsn)
        except self._module.ProgrammingError:
            return {}  # the driver's error for such a string is recorded
        return {key: value for key, value in parsed.items() if key != "password"}

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, dsn: Any, start_ns: int, error: Error) -> None:
        """Record that a connection is established, or has failed."""
        if self.recorder is None:
            return
        explicit = self._parse_dsn(dsn)
        waits = connection is not None and connection.async_
        # A class of the app may swallow a failed login: then there is a connection that was never open.
        if connection is not None and not waits and connection.pgconn_ptr:
            state = ConnectionState(self._describe(connection, explicit), SocketCounters(connection.fileno()))
            if hasattr(connection, "__dict__"):
                connection.__dict__[STATE_ATTRIBUTE] = state
        else:
            state = ConnectionState(describe_request(explicit, error))
            if waits:
                connection.__dict__[_PARAMETERS] = explicit
        facts = _code_facts(error) or refused_login_facts(str(error))
        self.record_call(state, "connect", start_ns, error=error, facts=facts)

    def _state_of(self, connection: Any) -> ConnectionState | None:
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None and not connection.closed and _PARAMETERS in connection.__dict__:
            # Driven by poll(): it is established by now.
            session = self._describe(connection, connection.__dict__[_PARAMETERS])
            state = connection.__dict__[STATE_ATTRIBUTE] = ConnectionState(session, SocketCounters(connection.fileno()))
        return state

    # --- calls ---

    def record(
        self, connection: Any, operation: str, start_ns: int, error: Error, sql: object, rows: RowCounts = NO_ROWS,
        facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call on a connection."""
        state = self._state_of(connection) if self.recorder is not None else None
        if state is None:
            return
        lost = False
        if error is not None:
            facts, lost = facts + _code_facts(error), bool(connection.closed)
        if connection.async_:
            facts, rows = facts + _ESTIMATED, NO_ROWS
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    def statement_hook(self, position: int, name: str, template: str = "", enter: Enter | None = None) -> Decorator:
        """Wrap a cursor method that sends a statement.

        Args:
            position: Of the argument that is the statement, or that stands in ``template``.
            name: Of the same argument.
            enter: Looks at the call first, and returns the default token.
        """

        @never_breaks_the_host
        def on_statement_end(cursor: Any, token: CallToken, _: Any, error: Error) -> None:
            start_ns, args, kwargs = token
            sql = argument(args, kwargs, position, name)
            if sql is not None and self.recorder is not None:
                text = template % (sql,) if template else _compose(sql, cursor)
                rows = _count_rows(cursor, text) if error is None and not cursor.name else NO_ROWS
                facts = parameter_facts(text, argument(args, kwargs, position + 1, "vars")) if mode.reads_values else ()
                if error is None and not cursor.name and cursor.description and reads_rows(text):
                    facts += row_facts(text, lambda: [column.name for column in cursor.description], tuple)
                self.record(cursor.connection, "", start_ns, error, text, rows, facts)

        return call_hook(enter, on_statement_end)

    @never_breaks_the_host
    def on_execute(self, cursor: Any, args: Args, kwargs: Kwargs) -> CallToken:
        """Keep the statement of a named cursor, whose rows are fetched later."""
        cursor.__dict__[_STATEMENT] = argument(args, kwargs, 0, "query")  # past any ``__setattr__`` of the app
        return time_ns(), args, kwargs

    # --- named cursors ---

    def _record_fetch(self, cursor: Any, start_ns: int, rows: int, error: Error) -> None:
        statement = cursor.__dict__.get(_STATEMENT)
        self.record(cursor.connection, "FETCH", start_ns, error, statement, (rows, UNKNOWN))

    @never_breaks_the_host
    def on_fetchone_end(self, cursor: Any, token: CallToken, row: Any, error: Error) -> None:
        """Record the fetch of one row."""
        self._record_fetch(cursor, token[0], int(row is not None) if error is None else UNKNOWN, error)

    @never_breaks_the_host
    def on_fetch_end(self, cursor: Any, token: CallToken, rows: Any, error: Error) -> None:
        """Record the fetch of several rows."""
        self._record_fetch(cursor, token[0], len(rows) if error is None else UNKNOWN, error)

    @never_breaks_the_host
    def on_next(self, cursor: Any, _args: Args, _kwargs: Kwargs) -> int | None:
        """Start the fetch of a page, unless the next row is in the page that was fetched last."""
        return None if cursor.rownumber < cursor.rowcount else time_ns()

    @never_breaks_the_host
    def on_next_end(self, cursor: Any, start_ns: int, _row: Any, error: Error) -> None:
        """Record the fetch of a page."""
        if isinstance(error, StopIteration):
            self._record_fetch(cursor, start_ns, 0, None)
        else:
            self._record_fetch(cursor, start_ns, cursor.rowcount if error is None else UNKNOWN, error)

    # --- transactions ---

    def is_idle(self, connection: Any) -> bool:
        """Return true if no transaction is open: then commit and rollback send nothing."""
        return connection.status == _READY


def _code_facts(error: Error) -> Facts:
    return status_facts(getattr(error, "pgcode", None))


def _compose(sql: Any, cursor: Any) -> Any:
    return sql if isinstance(sql, (str, bytes)) or not hasattr(sql, "as_string") else sql.as_string(cursor)


def _count_rows(cursor: Any, text: Any) -> RowCounts:
    """Count the rows returned and affected by a plain cursor's last statement."""
    count = cursor.rowcount
    if cursor.description is not None:
        return count, count if (cursor.statusmessage or "").startswith(CHANGES) else UNKNOWN
    readable = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return (count, UNKNOWN) if text[:4] in _COPY and _COPY_OUT.search(readable) else (UNKNOWN, count)
