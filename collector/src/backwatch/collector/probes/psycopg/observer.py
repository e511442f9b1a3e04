"""Observation of psycopg's calls. Facts of a connection come from libpq itself, once per connection."""

from collections.abc import Iterator
from time import time_ns
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.exposure.cells import MAX_ROWS
from backwatch.collector.exposure.rows import MAX_COLUMNS, parameter_facts, reads_rows, row_facts
from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.postgresql.errors import refused_login_facts, sqlstate_facts
from backwatch.collector.probes.families.postgresql.state import CHANGES, PostgresConnectionState
from backwatch.collector.probes.psycopg.session import describe_connection, describe_failure, parse_conninfo
from backwatch.collector.probes.toolkit.dbapi import (
    NO_ROWS,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    RowCounts,
    argument,
)
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Function, Kwargs
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import SocketCounters

_PLAIN: Final = frozenset((str, bytes))
_OK: Final = 0
_IDLE: Final = 0
_COMMAND_OK: Final = 1
_TUPLES_OK: Final = 2
_COPY_OUT: Final = 3
_CHANGE_TAGS: Final = tuple(verb.encode() for verb in CHANGES)
_APP_ERRORS: Final = {"_WaitTimeout": "ConnectionTimeout", "GeneratorExit": "abandoned"}
"""Internal errors that end an attempt to connect, and what the app sees instead."""
_ESTIMATED: Final[Facts] = ((names.BYTES_ESTIMATED, True),)


def _count_rows(cursor: Any) -> RowCounts:
    """Count the rows returned and affected by all results that the cursor holds."""
    returned = affected = UNKNOWN
    for result in cursor._results:
        status = result.status
        if status == _TUPLES_OK:
            returned = max(returned, 0) + result.ntuples
            if not (result.command_status or b"").startswith(_CHANGE_TAGS):
                continue
        elif status != _COMMAND_OK:
            continue
        changed = result.command_tuples
        if changed is not None:
            affected = max(affected, 0) + changed
    return returned, affected


def _find_canaries(results: Any) -> Facts:
    """Look in the rows of these results for planted values."""
    for result in results:
        if result.status == _TUPLES_OK and canaries.cells_contain_canary(
            result.get_value, result.ntuples, result.nfields
        ):
            return add_indicators((), ["canary"])
    return ()


def _data_facts(sql: Any, parameters: Args, kwargs: Kwargs, results: Any) -> Facts:
    """Return the kinds of data in parameters and rows."""
    facts = parameter_facts(sql, argument(parameters, kwargs, 0, "params"))
    first = next((result for result in results or () if result.status == _TUPLES_OK), None)
    if first is None:
        return facts

    def read_rows() -> Iterator[list[Any]]:
        columns = range(min(first.nfields, MAX_COLUMNS))
        return ([first.get_value(row, column) for column in columns] for row in range(min(first.ntuples, MAX_ROWS)))

    return facts + row_facts(
        sql, lambda: [first.fname(column) for column in range(min(first.nfields, MAX_COLUMNS))], read_rows
    )


def _compose(query: Any, cursor: Any) -> Any:
    return query.as_string(cursor) if hasattr(query, "as_string") else None


@never_breaks_the_host
def _count_notices(state: PostgresConnectionState, pgconn: Any) -> None:
    """Count the notices of a connection. The driver's own handler is still called, and its errors are the driver's."""
    handler = pgconn.notice_handler

    def count_notice(result: Any) -> Any:
        state.notices += 1
        return None if handler is None else handler(result)

    pgconn.notice_handler = count_notice


class PsycopgConnectAttempt:
    """One attempt to connect, which is recorded once, however it ends."""

    __slots__ = ("conninfo", "is_recorded", "start_ns")

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.start_ns = time_ns()
        self.is_recorded = False


class PsycopgCallObserver(CallObserver):
    """Follows psycopg's connections, cursors, transactions and pipelines."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._attempts: WeakKeyDictionary[Any, PsycopgConnectAttempt] = WeakKeyDictionary()
        self._statements: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        """Statements of server-side cursors, whose rows are fetched later."""

    def _open_state(self, connection: Any, explicit: dict[str, str] | None) -> PostgresConnectionState:
        pgconn = connection.pgconn
        state = PostgresConnectionState(describe_connection(pgconn, explicit), SocketCounters(pgconn.socket))
        _count_notices(state, pgconn)
        connection.__dict__[STATE_ATTRIBUTE] = state
        return state

    def _state_of(self, connection: Any) -> PostgresConnectionState | None:
        state: PostgresConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None and connection.pgconn.status == _OK:  # older than the probe
            state = self._open_state(connection, None)
            state.skip_earlier_bytes()
        return state

    def record(
        self, connection: Any, operation: str, start_ns: int, error: Error, sql: Any = None, rows: RowCounts = NO_ROWS,
        facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call on a connection, with its notices."""
        state = self._state_of(connection) if self.recorder is not None else None
        if state is None:
            return
        lost, facts = False, facts + state.take_notices()
        if error is not None:
            facts += sqlstate_facts(error)
            lost = connection.pgconn.status != _OK
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    def _text(self, cursor: Any, query: Any) -> Any:
        if isinstance(query, (str, bytes)):
            return query
        converted = cursor._query
        return converted.query if converted is not None else _compose(query, cursor)

    # --- connect and login ---

    def wrap_connect(self, original: Function) -> Function:
        """Wrap the class method that returns the generator of one attempt to connect to one host."""

        def follow(source: Any, attempt: PsycopgConnectAttempt | None) -> Any:
            try:
                connection = yield from source
            except BaseException as error:
                self._end_attempt(attempt, None, error)
                raise
            self._end_attempt(attempt, connection, None)
            return connection

        def connect_gen(kind: Any, *args: Any, **kwargs: Any) -> Any:
            attempt = self._start_attempt(args, kwargs)
            generator = follow(original(kind, *args, **kwargs), attempt)
            if attempt is not None:
                self._attempts[generator] = attempt
            return generator

        return connect_gen

    @never_breaks_the_host
    def _start_attempt(self, args: Args, kwargs: Kwargs) -> PsycopgConnectAttempt | None:
        return None if self.recorder is None else PsycopgConnectAttempt(argument(args, kwargs, 0, "conninfo") or "")

    @never_breaks_the_host
    def on_wait_end(self, generator: Any, _token: CallToken, _result: Any, error: Error) -> None:
        """End an attempt by a time-out or a cancelled task, which leave its generator to the garbage collector."""
        if error is not None:
            self._end_attempt(self._attempts.get(generator), None, error)

    @never_breaks_the_host
    def _end_attempt(self, attempt: PsycopgConnectAttempt | None, connection: Any, error: Error) -> None:
        if attempt is None or attempt.is_recorded:
            return
        attempt.is_recorded, start_ns = True, attempt.start_ns
        explicit = parse_conninfo(attempt.conninfo)
        if error is None:
            self.record_call(self._open_state(connection, explicit), "connect", start_ns)
            return
        self.record_call(
            ConnectionState(describe_failure(error, explicit)), "connect", start_ns,
            error=_APP_ERRORS.get(type(error).__name__, error),
            facts=sqlstate_facts(error) or refused_login_facts(str(error)),
        )  # fmt: skip

    # --- statements ---

    @never_breaks_the_host
    def on_execute_end(self, cursor: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record ``execute`` or ``executemany``, once for the whole of it."""
        recorder, (start_ns, args, kwargs) = self.recorder, token
        if recorder is None:
            return
        if error is None and args and args[0].__class__ in _PLAIN and len(results := cursor._results) == 1:
            # The usual call, on a path that costs less than the general one below.
            connection, only = cursor._conn, results[0]
            state: PostgresConnectionState | None = connection.__dict__.get(STATE_ATTRIBUTE)
            if state is not None and connection._pipeline is None and only.status == _TUPLES_OK:
                changed = only.command_tuples if (only.command_status or b"").startswith(_CHANGE_TAGS) else None
                recorder.record_call(
                    state.session, "", start_ns=start_ns, sql=args[0], wire=state.wire, rows_returned=only.ntuples,
                    rows_affected=UNKNOWN if changed is None else changed,
                    facts=(_find_canaries(results) if canaries.has_canaries() else ()) + state.take_notices()
                    + (_data_facts(args[0], args[1:2], kwargs, results) if reads_rows(args[0]) else ()),
                )  # fmt: skip
                return
        text = self._text(cursor, argument(args, kwargs, 0, "query"))
        if text is None:
            return  # refused before anything was sent
        if cursor._conn._pipeline is not None:
            self.record(cursor._conn, "", start_ns, error, text, facts=_ESTIMATED)
            return
        rows, facts = NO_ROWS, ()
        if error is None:
            rows = _count_rows(cursor) if cursor._results else (UNKNOWN, cursor._rowcount)
            facts = _find_canaries(cursor._results) if canaries.has_canaries() else ()
            if reads_rows(text):
                facts += _data_facts(text, args[1:2], kwargs, cursor._results)
        self.record(cursor._conn, "", start_ns, error, text, rows, facts)

    @never_breaks_the_host
    def on_declare_end(self, cursor: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record ``execute`` of a server-side cursor: no row comes yet."""
        start_ns, args, kwargs = token
        if self.recorder is None:
            return
        query = argument(args, kwargs, 0, "query")
        text = query if isinstance(query, (str, bytes)) else _compose(query, cursor)
        if text is not None:
            self._statements[cursor] = text
            self.record(cursor._conn, "", start_ns, error, text)

    @never_breaks_the_host
    def on_fetch_end(self, cursor: Any, token: CallToken, result: Any, error: Error) -> None:
        """Record one page of a server-side cursor."""
        if not isinstance(error, GeneratorExit):
            rows = (UNKNOWN if result is None else len(result), UNKNOWN)
            self.record(cursor._conn, "FETCH", token[0], error, self._statements.get(cursor), rows)

    # --- streams, COPY, pipelines ---

    @never_breaks_the_host
    def on_block(self, _owner: Any, args: Args, kwargs: Kwargs) -> CallToken | None:
        """Start a call that lasts as long as an iteration or a ``with`` block."""
        return None if self.recorder is None else (time_ns(), args, kwargs)

    @never_breaks_the_host
    def on_stream_end(self, cursor: Any, token: CallToken, rows: int, error: Error) -> None:
        """Record ``stream``, whose rows come one by one, once for all of them."""
        start_ns, args, kwargs = token
        text = self._text(cursor, argument(args, kwargs, 0, "query"))
        self.record(cursor._conn, "", start_ns, error, text, (rows, UNKNOWN))

    @never_breaks_the_host
    def on_copy_end(self, cursor: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record ``copy``: rows out of a table are returned, rows into it affected."""
        start_ns, args, kwargs = token
        is_outward = getattr(getattr(cursor, "pgresult", None), "status", None) == _COPY_OUT
        count = cursor._rowcount if error is None else UNKNOWN
        rows = (count, UNKNOWN) if is_outward else (UNKNOWN, count)
        text = self._text(cursor, argument(args, kwargs, 0, "statement"))
        self.record(cursor._conn, "COPY", start_ns, error, text, rows)

    @never_breaks_the_host
    def on_pipeline_end(self, connection: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record the end of a pipeline, where its results and errors arrive."""
        self.record(connection, "SYNC", token[0], error, facts=_ESTIMATED)

    # --- transactions ---

    @never_breaks_the_host
    def on_transaction_exit(self, transaction: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record the end of a ``transaction()`` block."""
        start_ns, args, _ = token
        status = getattr(getattr(transaction, "status", None), "value", None)
        if status == "failed":
            return  # the connection was gone before
        if status is None:  # before psycopg 3.3
            status = "committed" if args[:1] == (None,) and not transaction.force_rollback else ""
        word = "COMMIT" if status == "committed" else "ROLLBACK"
        if not transaction._outer_transaction:
            word = "RELEASE" if word == "COMMIT" else "ROLLBACK TO"
        self.record(transaction._conn, word, start_ns, error, word)

    def is_idle(self, connection: Any) -> bool:
        """Return true if no transaction is open."""
        return connection.pgconn.transaction_status == _IDLE
