"""Observation of SQLAlchemy's calls on drivers without a probe: connect, statements, rows, transactions."""

from collections import deque
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.sqlalchemy.session import EngineState, driver_of
from backwatch.collector.probes.toolkit.dbapi import NO_ROWS, RESULT_ATTRIBUTE, UNKNOWN, RowCounts, argument
from backwatch.collector.probes.toolkit.hooks import (
    Args,
    CallToken,
    Decorator,
    Error,
    Exit,
    Function,
    Kwargs,
    call_hook,
)
from backwatch.collector.probes.toolkit.layers import (
    LayerCallObserver,
    LayerResult,
    count_rows,
    error_facts,
    is_observed,
)
from backwatch.collector.runtime.guard import never_breaks_the_host

_BUFFER: Final = "_rows"
"""Attribute of SQLAlchemy's adapters of asynchronous drivers: all rows, read as they execute."""


def _open_result(result: Any) -> LayerResult | None:
    context = getattr(result, "context", None)
    return None if context is None else context.__dict__.get(RESULT_ATTRIBUTE)


class SQLAlchemyCallObserver(LayerCallObserver):
    """Follows the engines whose drivers have no probe."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.engines: WeakKeyDictionary[Any, EngineState] = WeakKeyDictionary()
        """By dialect; each engine has its own."""

    @never_breaks_the_host
    def add_engine(self, engine: Any) -> Any:
        """Return the dialect of a new engine, if its calls are to be recorded here."""
        dialect = engine.dialect
        driver = driver_of(dialect)
        if self.recorder is None or not driver or is_observed(driver) or dialect in self.engines:
            return None
        self.engines[dialect] = EngineState(dialect, engine.url, driver)
        return dialect

    def _state_of(self, dialect: Any) -> EngineState | None:
        state = self.engines.get(dialect)
        if state is None or self.recorder is None or is_observed(state.driver):
            return None
        state.refresh(dialect)
        return state

    # --- statements ---

    def _record_statement(
        self, dialect: Any, token: CallToken, error: Error, rows_of: Callable[[Any], RowCounts]
    ) -> None:
        start_ns, args, kwargs = token
        state = self._state_of(dialect)
        if state is None:
            return
        sql, rows = argument(args, kwargs, 1, "statement"), NO_ROWS
        if error is None:
            rows = rows_of(args[0])
            if rows[0] < 0:
                rows = self._await_rows(state, sql, token, rows)
        self.record_call(state, "", start_ns, sql=sql, rows=rows, error=error, facts=error_facts(error))

    @never_breaks_the_host
    def on_execute_end(self, dialect: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record one ``execute`` of the driver."""
        self._record_statement(dialect, token, error, count_rows)

    @never_breaks_the_host
    def on_execute_many_end(self, dialect: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record one ``executemany``, after which many drivers count only the rows of the last page."""
        is_exact = getattr(dialect, "supports_sane_multi_rowcount", False)
        self._record_statement(
            dialect, token, error, lambda cursor: (UNKNOWN, count_rows(cursor)[1]) if is_exact else NO_ROWS
        )

    def _await_rows(self, state: EngineState, sql: Any, token: CallToken, rows: RowCounts) -> RowCounts:
        """Follow rows that are still to be read, or count those that SQLAlchemy's adapter has read."""
        _, args, kwargs = token
        cursor = args[0]
        if cursor.description is None:
            return rows
        buffered = getattr(cursor, _BUFFER, None)
        if buffered and isinstance(buffered, (list, deque)):
            return len(buffered), UNKNOWN
        context = kwargs.get("context") or args[-1]
        context.__dict__[RESULT_ATTRIBUTE] = LayerResult(state, sql, time_ns())
        return rows

    def command_end(self, operation: str, sql: str | None) -> Exit:
        """Return the hook that records one fixed command of a connection."""

        @never_breaks_the_host
        def on_command_end(dialect: Any, token: CallToken, _: Any, error: Error) -> None:
            state = self._state_of(dialect)
            if state is not None:
                self.record_call(state, operation, token[0], sql=sql, error=error, facts=error_facts(error))

        return on_command_end

    # --- rows, where the driver does not count them in advance ---

    @never_breaks_the_host
    def on_read(self, result: Any, _args: Args, _kwargs: Kwargs) -> LayerResult | None:
        """Start a read of the rows of a result."""
        found = _open_result(result)
        if found is None or found.state is None:
            return None
        found.inside = True
        return found

    @never_breaks_the_host
    def _end_read(self, result: LayerResult, rows: int, error: Error = None) -> None:
        result.rows += rows
        result.inside = False
        if error is not None or result.is_closed:
            self.end_result(result, getattr(error, "orig", None) or error)

    def read_hook(self, count: Callable[[Any], int]) -> Decorator:
        """Wrap a method that gives rows of a result."""

        def on_read_end(_: Any, result: LayerResult, rows: Any, error: Error) -> None:
            self._end_read(result, count(rows) if error is None else 0, error)

        return call_hook(self.on_read, on_read_end)

    def wrap_iteration(self, original: Function) -> Function:
        """Wrap the iteration over the rows of a result."""

        def count_each(source: Iterator[Any], result: LayerResult) -> Iterator[Any]:
            for row in source:
                self._end_read(result, 1)
                yield row
            self._end_read(result, 0)

        def _fetchiter_impl(result: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(result, *args, **kwargs)
            found = self.on_read(result, args, kwargs)
            return source if found is None else count_each(source, found)

        return _fetchiter_impl

    @never_breaks_the_host
    def on_close_end(self, result: Any, _token: CallToken, _closed: Any, _error: Error) -> None:
        """End a result, which will give no more rows."""
        found = _open_result(result)
        if found is not None:
            found.is_closed = True
            if not found.inside:
                self.end_result(found)
