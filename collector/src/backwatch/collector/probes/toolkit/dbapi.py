"""Building blocks of the probes of databases: connection state, call observer, open results, common facts.

A driver is wrapped with the hooks of ``hooks.py``, which call it exactly once, outside any guard. The hooks' methods in
the observers are decorated with ``guard.never_breaks_the_host``.
"""

import dataclasses
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure.cells import MAX_ROWS as MAX_ROWS_SAMPLED
from backwatch.collector.exposure.rows import reads_rows
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Function, Kwargs, call_hook
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

STATE_ATTRIBUTE: Final = "_backwatch_state"
"""Attribute of a connection: its state. An entry of ``__dict__``, which no ``__setattr__`` of the app sees."""
RESULT_ATTRIBUTE: Final = "_backwatch_result"
"""Attribute of a cursor, client or session: its open result, likewise."""
UNKNOWN: Final = -1
NO_ROWS: Final = (UNKNOWN, UNKNOWN)
"""Returned and affected rows of a call whose rows are unknown."""
MAX_ROWS: Final = 1 << 62
"""PyMySQL gives 2**64 - 1 for an unknown number; no count of rows is so large."""
PAGE_ROWS: Final = 1000
"""Rows of an open result that make one ``FETCH`` record."""
MAX_TEXT_CHARACTERS: Final = 200
STATEMENT_FACTS: Final = frozenset((
    names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_VERSION, names.QUERY_TEXT, names.OPERATION, names.ROWS_RETURNED,
    names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
))  # fmt: skip
"""Facts that every SQL driver reports."""
SERVER_FACTS: Final = STATEMENT_FACTS | {names.DB_NAMESPACE, names.SERVER_PORT, names.ACCOUNT}
"""Facts that every driver of a database server reports."""
WIRE_FACTS: Final = SERVER_FACTS | {names.BYTES_SENT, names.BYTES_RECEIVED}
"""Facts of a driver whose socket can be read."""

RowCounts = tuple[int, int]
"""Returned and affected rows."""


class ConnectionState:
    """The session and the byte counters of one connection, and whether a call of the app is running on it."""

    __slots__ = ("inside", "session", "wire")

    def __init__(self, session: Session, wire: SocketCounters | None = None) -> None:
        self.session = session
        self.wire = wire
        self.inside = 0
        """Above 0 while a call of the app runs, whose inner calls are not the app's own."""

    def change_session(self, **changes: Any) -> None:
        """Replace facts of the session."""
        self.session = dataclasses.replace(self.session, **changes, encoded=[])

    def skip_earlier_bytes(self) -> None:
        """Leave out the bytes that were sent before the probe saw the connection."""
        if self.wire is not None:
            self.wire.read_delta()


class OpenResult:
    """A statement whose rows the app reads piece by piece, with the rows that are not reported yet.

    Attributes:
        sql: The statement, as the app passed it.
        rows: Rows read since the last report.
        since_ns: Start of the first read since the last report; 0: none.
        sample: The first rows, where their kinds of data are reported; ``None``: they are not.
    """

    __slots__ = ("rows", "sample", "since_ns", "sql")

    def __init__(self, sql: object, since_ns: int = 0) -> None:
        self.sql = sql
        self.rows = 0
        self.since_ns = since_ns
        self.sample: list[Any] | None = [] if reads_rows(sql) else None

    def add_sample(self, rows: list[Any]) -> None:
        """Keep the first rows until they are reported."""
        if self.sample is not None and len(self.sample) < MAX_ROWS_SAMPLED:
            self.sample += rows[:MAX_ROWS_SAMPLED]

    def take_rows(self) -> tuple[int, int]:
        """Return and reset the count of rows and the time since which they were read."""
        rows, since_ns = self.rows, self.since_ns or time_ns()
        self.rows = self.since_ns = 0
        return rows, since_ns


class CallObserver(RecordingObserver):
    """Records the calls of one driver. Without a recorder, all hooks do nothing."""

    def record_call(
        self,
        state: ConnectionState,
        operation: str,
        start_ns: int,
        *,
        sql: object = None,
        rows: RowCounts = NO_ROWS,
        error: BaseException | str | None = None,
        facts: Facts = (),
        lost: bool = False,
    ) -> None:
        """Record one call that ends now.

        Args:
            rows: Returned and affected.
            lost: The connection is closed by now, so its descriptor may already be another socket's.
        """
        recorder = self.recorder
        if recorder is None:
            return
        recorder.record_call(
            state.session,
            operation,
            start_ns=start_ns,
            sql=sql,
            wire=None if lost else state.wire,
            rows_returned=rows[0] if rows[0] < MAX_ROWS else UNKNOWN,
            rows_affected=rows[1] if rows[1] < MAX_ROWS else UNKNOWN,
            error=error,
            facts=facts,
        )


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """Return the argument as the app passed it; ``None`` where it is missing, which the driver refuses."""
    return args[position] if len(args) > position else kwargs.get(name)


def status_facts(code: object) -> Facts:
    """Return the server's error code as a fact.

    >>> status_facts("42P01"), status_facts(1064), status_facts(None), status_facts(0)
    ((('db.response.status_code', '42P01'),), (('db.response.status_code', '1064'),), (), ())
    """
    if type(code) is int and code > 0:
        code = str(code)
    return ((names.STATUS_CODE, code),) if isinstance(code, str) and code else ()


def notice_facts(count: object) -> Facts:
    """Return the number of warnings or notices as a fact."""
    return ((names.NOTICES, count),) if isinstance(count, int) and count > 0 else ()


def build_session(
    system: str, host: object, port: object, *, path: object = None, tls: tuple[str, bool | None],
    database: object = None, account: object = None,
) -> Session:  # fmt: skip
    """Build the session of a connection that is requested and not established.

    Args:
        path: Of a unix socket, which then takes the place of host and port.
        tls: The requested mode, and whether the app itself requested it.
    """
    place = words(path, MAX_TEXT_CHARACTERS)
    return Session(
        system=system,
        address=place or words(host, MAX_TEXT_CHARACTERS),
        port=0 if place or not isinstance(port, int) else port,
        namespace=words(database, MAX_TEXT_CHARACTERS),
        transport="unix" if place else "tcp",
        requested=tls[0],
        requested_explicit=tls[1],
        account=words(account, MAX_TEXT_CHARACTERS),
    )


def transaction_end_hook(
    operation: str,
    is_idle: Callable[[Any], object],
    record: Callable[[Any, str, int, Error, str], object],
    hook: Callable[..., Decorator] = call_hook,
) -> Decorator:
    """Wrap a method that ends a transaction. Where none is open, nothing is sent and nothing is recorded.

    Args:
        is_idle: Returns true if no transaction is open on this connection.
        record: Records the call: connection, operation, start, error, statement.
    """

    @never_breaks_the_host
    def on_end(connection: Any, _: Args, __: Kwargs) -> tuple[int, object]:
        return time_ns(), is_idle(connection)

    @never_breaks_the_host
    def record_end(connection: Any, token: tuple[int, object], _: Any, error: Error) -> None:
        if error is not None or not token[1]:
            record(connection, operation, token[0], error, operation)

    return hook(on_end, record_end)


def build_observed_class(base: type, hooks: Mapping[str, Decorator]) -> type:
    """Derive a class from a C type, with a hook around each of the named methods.

    See :class:`.Subclasses`, which puts such a class below the app's own classes.
    """

    def pass_on(name: str, hook: Decorator) -> Function:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(super(observed, self), name)(*args, **kwargs)

        hooked = hook(method)
        hooked.__name__, hooked.__doc__ = name, getattr(getattr(base, name), "__doc__", None)
        return hooked

    observed = type(base.__name__, (base,), {name: pass_on(name, hook) for name, hook in hooks.items()})
    return observed
