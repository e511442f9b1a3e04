"""Observation of asyncpg's calls: connect and login, statements, cursors, COPY, notices and notifications.

A statement's preparation belongs to its first execution; it is recorded by itself only where it fails. The driver's own
queries (about types that are new to it) belong to the call of the app that needed them.
"""

import asyncio
import re
from time import time_ns
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector.exposure.rows import parameter_facts, reads_rows, row_facts
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.asyncpg.session import (
    AsyncpgConnectAttempt,
    AsyncpgConnectionState,
    build_state,
    describe_attempt,
    read_transport,
)
from backwatch.collector.probes.families.postgresql.errors import sqlstate_facts
from backwatch.collector.probes.families.postgresql.login import LoginReader
from backwatch.collector.probes.families.postgresql.state import CHANGES
from backwatch.collector.probes.toolkit.dbapi import (
    NO_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    RowCounts,
    argument,
)
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Facts

_NUMBERED: Final = re.compile(r"(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO|MOVE FORWARD) (?:\d+ )?__asyncpg_")
"""Statements of the driver, with a name or a count in them that is never the same twice."""
_RESET: Final = "SELECT pg_advisory_unlock_all();\n"
"""Start of the statements that a pool sends when a connection comes back."""
_OPERATIONS: Final = {"RELEASE SAVEPOINT": "RELEASE", "MOVE FORWARD": "MOVE"}


def _count_rows(status: object, rows: object = None) -> RowCounts:
    """Count rows returned and affected, by the server's command tag (``INSERT 0 5``) and the rows themselves."""
    returned = len(rows) if isinstance(rows, list) else UNKNOWN
    text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
    if not isinstance(text, str):
        return returned, UNKNOWN
    verb, _, rest = text.partition(" ")
    number = rest.rpartition(" ")[2]
    count = int(number) if number.isascii() and number.isdigit() else UNKNOWN
    if verb in CHANGES:
        return returned or UNKNOWN, count
    return (count if verb == "SELECT" else returned or UNKNOWN), UNKNOWN


def _data_facts(sql: Any, parameters: Any, found: Any) -> Facts:
    """Return the kinds of data in parameters, and in rows of the driver's own class."""
    facts = parameter_facts(sql, parameters)
    first = found[0] if found.__class__ is list and found else None
    if first is None or not type(first).__module__.startswith("asyncpg."):
        return facts
    rows = (tuple(row) for row in found)
    return facts + row_facts(sql, lambda: list(first.keys()), lambda: rows)


def _normalize(sql: Any) -> tuple[str, Any]:
    """Return operation and statement to record; an empty operation is the statement's first word."""
    if not isinstance(sql, str) or ("__asyncpg_" not in sql and not sql.startswith(_RESET)):
        return "", sql
    if sql.startswith(_RESET):
        return "RESET", "RESET ALL"
    found = _NUMBERED.match(sql)
    if found is None:
        return "", sql
    operation = _OPERATIONS.get(found[1], found[1])
    return operation, operation


def _read_login(protocol: Any) -> LoginReader:
    """Read the data that the protocol receives, until the login has ended."""
    reader, owner, original = LoginReader(), ref(protocol), type(protocol).data_received

    @never_breaks_the_host
    def feed_reader(data: bytes) -> None:
        reader.feed(data)
        if reader.has_ended:
            owner().__dict__.pop("data_received", None)  # uvloop goes on calling the method that it found first

    def data_received(data: bytes) -> Any:
        if not reader.has_ended:
            feed_reader(data)
        return original(owner(), data)

    protocol.__dict__["data_received"] = data_received
    return reader


def _state_of(protocol: Any) -> AsyncpgConnectionState | None:
    state = protocol.__dict__.get(STATE_ATTRIBUTE)
    return state if isinstance(state, AsyncpgConnectionState) else None


def _start_of(protocol: Any, statement: Any, start_ns: int) -> int:
    """Return the start of an execution: that of the preparation, where it was for this execution."""
    state = _state_of(protocol)
    prepared = None if state is None else state.prepared
    if state is None or prepared is None:
        return start_ns
    if not state.inside:
        state.prepared = None
    return prepared[1] if prepared[0] is statement else start_ns


class AsyncpgCallObserver(CallObserver):
    """Follows asyncpg's protocols, which are the lower halves of its connections."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._attempts: WeakKeyDictionary[Any, AsyncpgConnectAttempt] = WeakKeyDictionary()
        """Attempts by the task that connects."""
        self._tries: dict[int, AsyncpgConnectAttempt] = {}
        """Attempts by the address that is being tried: an object made for this one connection, which its protocol
        receives too, in whichever task."""

    # --- connect and login ---

    @never_breaks_the_host
    def on_connect(self, _: Any, _args: Args, kwargs: Kwargs) -> Any:
        """Start a connection for the app, or for its pool."""
        task = asyncio.current_task()
        if self.recorder is None or task is None:
            return None
        self._attempts[task] = AsyncpgConnectAttempt(kwargs.get("dsn"), kwargs.get("ssl"), is_observed=True)
        return task

    @never_breaks_the_host
    def on_connect_end(self, _: Any, task: Any, _result: Any, _error: Error) -> None:
        """End the attempt, with or without a connection."""
        self._attempts.pop(task, None)

    @never_breaks_the_host
    def on_try(self, _: Any, _args: Args, kwargs: Kwargs) -> Any:
        """Start to try one host."""
        if self.recorder is None:
            return None
        task = asyncio.current_task()
        attempt = (None if task is None else self._attempts.get(task)) or AsyncpgConnectAttempt()
        attempt.facts, attempt.login = {}, None
        self._tries[id(kwargs.get("addr"))] = attempt
        return time_ns(), attempt, kwargs

    @never_breaks_the_host
    def on_protocol(self, protocol: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Follow a protocol that was made to try an address."""
        attempt = self._tries.get(id(token[1][0])) if error is None and token[1] else None
        if attempt is not None:
            protocol.__dict__[STATE_ATTRIBUTE] = attempt
            attempt.login = _read_login(protocol)

    @never_breaks_the_host
    def on_transport(self, protocol: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Read a transport that is open, with TLS where TLS is used; the login comes next."""
        attempt = protocol.__dict__.get(STATE_ATTRIBUTE)
        if error is None and isinstance(attempt, AsyncpgConnectAttempt):
            attempt.facts = read_transport(token[1][0])

    @never_breaks_the_host
    def on_try_end(self, _: Any, token: Any, connection: Any, error: Error) -> None:
        """Record that the connection to one host is established, or has failed."""
        start_ns, attempt, kwargs = token
        self._tries.pop(id(kwargs.get("addr")), None)
        if self.recorder is None:
            return
        if error is None:
            self.record_call(self._open_state(connection, attempt), "connect", start_ns)
            return
        if type(error).__name__.startswith("_") and error.__cause__ is not None:
            error = error.__cause__  # the driver's own signal to try another host
        facts = {"encrypted": False} if "rejected SSL upgrade" in str(error) else attempt.facts
        failed = AsyncpgConnectionState(describe_attempt(kwargs.get("addr"), kwargs.get("params"), attempt, facts))
        self.record_call(failed, "connect", start_ns, error=error, facts=sqlstate_facts(error))

    def _open_state(self, connection: Any, attempt: AsyncpgConnectAttempt) -> AsyncpgConnectionState:
        state = connection._protocol.__dict__[STATE_ATTRIBUTE] = build_state(connection, attempt)
        return state

    @never_breaks_the_host
    def on_is_closed(self, connection: Any, _token: CallToken, is_closed: Any, error: Error) -> None:
        """Describe a connection that is older than the probe: the driver asks before each use whether it is closed."""
        if error is None and not is_closed and self.recorder is not None and _state_of(connection._protocol) is None:
            self._open_state(connection, AsyncpgConnectAttempt()).skip_earlier_bytes()

    # --- calls ---

    def _record(
        self, protocol: Any, operation: str, start_ns: int, sql: Any, error: Error, rows: RowCounts = NO_ROWS,
        data: Facts = (),
    ) -> None:  # fmt: skip
        state = _state_of(protocol)
        if self.recorder is None or state is None or (state.inside and error is None):
            return
        facts = state.take_notices() + sqlstate_facts(error) + data
        lost = error is not None and not protocol.is_connected()
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    def _record_execution(
        self, protocol: Any, token: CallToken, error: Error, rows: RowCounts = NO_ROWS, found: Any = None
    ) -> None:
        start_ns, args, kwargs = token
        statement = argument(args, kwargs, 0, "state")
        data = (
            _data_facts(statement.query, argument(args, kwargs, 1, "args"), found)
            if reads_rows(statement.query)
            else ()
        )
        self._record(protocol, "", _start_of(protocol, statement, start_ns), statement.query, error, rows, data)

    @never_breaks_the_host
    def on_query_end(self, protocol: Any, token: CallToken, status: Any, error: Error) -> None:
        """Record the simple protocol: statements without arguments, transactions, and what a pool sends."""
        start_ns, args, kwargs = token
        operation, sql = _normalize(argument(args, kwargs, 0, "query"))
        self._record(protocol, operation, start_ns, sql, error, _count_rows(status))

    @never_breaks_the_host
    def on_prepare_end(self, protocol: Any, token: CallToken, statement: Any, error: Error) -> None:
        """Keep the preparation of a statement, or record its failure."""
        start_ns, args, kwargs = token
        state = _state_of(protocol)
        if error is not None:
            self._record(protocol, "", start_ns, argument(args, kwargs, 1, "query"), error)
        elif state is not None and not state.inside:
            state.prepared = (statement, start_ns)

    @never_breaks_the_host
    def on_prepare_for_app(self, connection: Any, _token: CallToken, _result: Any, _error: Error) -> None:
        """Forget a preparation whose statement the app itself holds, to execute it at any time."""
        state = _state_of(connection._protocol)
        if state is not None:
            state.prepared = None

    @never_breaks_the_host
    def on_execute_end(self, protocol: Any, token: CallToken, result: Any, error: Error) -> None:
        """Record the execution of a prepared statement; with a portal, the first page of a cursor."""
        rows = _count_rows(result[1], result[0]) if isinstance(result, tuple) else _count_rows(None, result)
        found = result[0] if result.__class__ is tuple else result
        self._record_execution(protocol, token, error, rows, found)

    @never_breaks_the_host
    def on_execute_many_end(self, protocol: Any, token: CallToken, result: Any, error: Error) -> None:
        """Record ``executemany`` or ``fetchmany``, once for the whole of it; the driver drops the affected rows."""
        returns_rows = argument(token[1], token[2], 4, "return_rows") and isinstance(result, list)
        self._record_execution(protocol, token, error, (len(result) if returns_rows else UNKNOWN, UNKNOWN))

    @never_breaks_the_host
    def on_declare_end(self, protocol: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record the opening of a cursor: no row comes yet."""
        self._record_execution(protocol, token, error)

    @never_breaks_the_host
    def on_fetch_end(self, protocol: Any, token: CallToken, result: Any, error: Error) -> None:
        """Record one page of a cursor."""
        start_ns, args, kwargs = token
        rows = result[0] if isinstance(result, tuple) else result
        returned = len(rows) if isinstance(rows, list) else UNKNOWN
        query = argument(args, kwargs, 0, "state").query
        self._record(protocol, "FETCH", start_ns, query, error, (returned, UNKNOWN))

    @never_breaks_the_host
    def on_copy_out_end(self, protocol: Any, token: CallToken, status: Any, error: Error) -> None:
        """Record rows that are copied out of a table or query."""
        self._record_copy(protocol, token, error, (_count_copied(status), UNKNOWN))

    @never_breaks_the_host
    def on_copy_in_end(self, protocol: Any, token: CallToken, status: Any, error: Error) -> None:
        """Record rows that are copied into a table."""
        self._record_copy(protocol, token, error, (UNKNOWN, _count_copied(status)))

    def _record_copy(self, protocol: Any, token: CallToken, error: Error, rows: RowCounts) -> None:
        start_ns, args, kwargs = token
        self._record(protocol, "COPY", start_ns, argument(args, kwargs, 0, "copy_stmt"), error, rows)

    @never_breaks_the_host
    def on_introspect(self, connection: Any, _args: Args, _kwargs: Kwargs) -> AsyncpgConnectionState | None:
        """Start queries of the driver itself."""
        state = _state_of(connection._protocol)
        if state is not None:
            state.inside += 1
        return state

    @never_breaks_the_host
    def on_introspect_end(self, _connection: Any, state: AsyncpgConnectionState, _result: Any, _error: Error) -> None:
        """End queries of the driver itself."""
        state.inside = max(0, state.inside - 1)

    # --- messages without a request ---

    @never_breaks_the_host
    def on_notice(self, connection: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Count a notice."""
        state = _state_of(connection._protocol)
        if state is not None:
            state.notices += 1

    @never_breaks_the_host
    def on_notification(self, connection: Any, args: Args, kwargs: Kwargs) -> None:
        """Record a message of a channel that this connection listens to."""
        state = _state_of(connection._protocol)
        if self.recorder is not None and state is not None:
            self.recorder.record_call(
                state.session, "NOTIFY", start_ns=time_ns(), wire=state.wire,
                facts=detect_formats(argument(args, kwargs, 2, "payload")), kind=CONSUMER,
            )  # fmt: skip


def _count_copied(status: Any) -> int:
    return _count_rows(status.replace("COPY", "SELECT", 1) if isinstance(status, str) else None)[0]
