"""Observation of Django's calls on databases whose driver has no probe: connect, statements, rows, transactions."""

import weakref
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.django.session import describe_database
from backwatch.collector.probes.toolkit.dbapi import (
    NO_ROWS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    ConnectionState,
    argument,
)
from backwatch.collector.probes.toolkit.hooks import CallToken, Error, Exit, Function
from backwatch.collector.probes.toolkit.layers import (
    HOOK_MARK,
    LayerCallObserver,
    LayerResult,
    count_rows,
    error_facts,
    hook_method,
    is_observed,
)
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host

_READS: Final[dict[str, Callable[[Any], int]]] = {
    "fetchone": lambda row: 0 if row is None else 1, "fetchmany": len, "fetchall": len,
}  # fmt: skip
_ENDS: Final = {"_commit": "COMMIT", "_rollback": "ROLLBACK"}
_MAX_NAME_CHARACTERS: Final = 120


def _class_method(cursor: Any, name: str) -> Callable[..., Any]:
    """Return a cursor's method as it would be without the hook in its ``__dict__``."""
    kind = type(cursor)
    own = getattr(kind, name, None)
    return kind.__getattr__(cursor, name) if own is None else own.__get__(cursor)


def _driver_error(error: Error) -> Error:
    """Return the driver's own error, below the one that Django makes of it."""
    return error if error is None else error.__cause__ or error


class DjangoCallObserver(LayerCallObserver):
    """Follows the databases whose drivers have no probe."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.databases: weakref.WeakSet[Any] = weakref.WeakSet()

    @never_breaks_the_host
    def on_database(self, wrapper: Any, _token: CallToken, _result: Any, error: Error) -> None:
        """Hook the methods of a new database, if its calls are to be recorded here."""
        driver = getattr(getattr(wrapper, "Database", None), "__name__", "")  # none where no database is configured
        if error is not None or self.recorder is None or not driver or is_observed(driver):
            return
        self.databases.add(wrapper)
        wrapper.execute_wrappers.append(self._build_execute_wrapper())
        hook_method(wrapper, "get_new_connection", self._on_connect_end)
        for name, word in _ENDS.items():
            hook_method(wrapper, name, self._transaction_end(word))

    def _state_of(self, wrapper: Any, *, renew: bool = False) -> ConnectionState | None:
        if self.recorder is None or is_observed(wrapper.Database.__name__):
            return None
        state = vars(wrapper).get(STATE_ATTRIBUTE)
        if state is None or renew:
            state = vars(wrapper)[STATE_ATTRIBUTE] = ConnectionState(describe_database(wrapper))
        return state

    def _record(
        self, state: ConnectionState, operation: str, start_ns: int, sql: Any, error: Error, rows: Any = NO_ROWS
    ) -> None:
        error = _driver_error(error)
        self.record_call(state, operation, start_ns, sql=sql, rows=rows, error=error, facts=error_facts(error))

    @never_breaks_the_host
    def _on_connect_end(self, wrapper: Any, token: CallToken, _result: Any, error: Error) -> None:
        state = self._state_of(wrapper, renew=True)
        if state is not None:
            self._record(state, "connect", token[0], None, error)

    def _transaction_end(self, word: str) -> Exit:
        @never_breaks_the_host
        def on_transaction_end(wrapper: Any, token: CallToken, _: Any, error: Error) -> None:
            state = self._state_of(wrapper) if wrapper.connection is not None else None
            if state is not None:
                self._record(state, word, token[0], word, error)

        return on_transaction_end

    # --- statements ---

    def _build_execute_wrapper(self) -> Function:
        """Build an execute wrapper, as Django documents them."""

        def execute_wrapper(execute: Function, sql: Any, params: Any, many: bool, context: Any) -> Any:
            start_ns = time_ns()
            try:
                result = execute(sql, params, many, context)
            except BaseException as error:
                self._record_execute(context, sql, many, start_ns, error)
                raise
            self._record_execute(context, sql, many, start_ns, None)
            return result

        setattr(execute_wrapper, HOOK_MARK, True)
        return execute_wrapper

    @never_breaks_the_host
    def _record_execute(self, context: Any, sql: Any, many: bool, start_ns: int, error: Error) -> None:
        wrapper, cursor = context["connection"], context["cursor"]
        state = self._state_of(wrapper)
        if state is None:
            return
        self._end_rows(cursor)
        rows = NO_ROWS
        if error is None:
            rows = count_rows(cursor.cursor)
            # psycopg2's server-side cursors, which have a name, describe their rows when the first one comes.
            has_rows = cursor.cursor.description is not None or getattr(cursor.cursor, "name", None) is not None
            if rows[0] < 0 and not many and has_rows:
                self._follow(cursor, LayerResult(state, sql, time_ns()))
        self._record(state, "", start_ns, sql, error, rows)

    @never_breaks_the_host
    def on_callproc_end(self, cursor: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Record ``callproc``, which does not go through the execute wrappers."""
        start_ns, args, kwargs = token
        state = self._state_of(cursor.db) if cursor.db in self.databases else None
        if state is not None:
            self._end_rows(cursor)
            name = words(argument(args, kwargs, 0, "procname"), _MAX_NAME_CHARACTERS)
            self._record(state, "CALL", start_ns, f"CALL {name}", error)

    # --- rows, where the driver does not count them in advance ---

    def _follow(self, cursor: Any, result: LayerResult) -> None:
        attributes = vars(cursor)
        attributes[RESULT_ATTRIBUTE] = result
        if "fetchmany" not in attributes:
            # The cursor must still go as soon as its owner lets go of it: no cycle may keep it.
            owner = weakref.ref(cursor)
            for name, count in _READS.items():
                attributes[name] = self._wrap_fetch(owner, name, count)
            attributes["close"] = self._wrap_close(owner)

    def _wrap_fetch(self, owner: Callable[[], Any], name: str, count: Callable[[Any], int]) -> Function:
        def fetch(*args: Any, **kwargs: Any) -> Any:
            cursor = owner()
            rows = _class_method(cursor, name)(*args, **kwargs)
            self._count(cursor, rows, count, is_last=name == "fetchall")
            return rows

        return fetch

    def _wrap_close(self, owner: Callable[[], Any]) -> Function:
        def close(*args: Any, **kwargs: Any) -> Any:
            cursor = owner()
            self._end_rows(cursor)
            return _class_method(cursor, "close")(*args, **kwargs)

        return close

    @never_breaks_the_host
    def _count(self, cursor: Any, rows: Any, count: Callable[[Any], int], *, is_last: bool) -> None:
        result = vars(cursor).get(RESULT_ATTRIBUTE)
        if result is not None:
            found = count(rows)
            result.rows += found
            if is_last or not found:
                self._end_rows(cursor)

    def wrap_iteration(self, original: Function) -> Function:
        """Wrap the iteration over a cursor, which looks past the cursor's own ``__dict__``."""

        def __iter__(cursor: Any) -> Any:  # noqa: N807  it is the method
            rows, result = original(cursor), vars(cursor).get(RESULT_ATTRIBUTE)
            return rows if result is None else self._count_each(cursor, rows, result)

        return __iter__

    def _count_each(self, cursor: Any, rows: Iterator[Any], result: LayerResult) -> Iterator[Any]:
        for row in rows:
            result.rows += 1
            yield row
        self._end_rows(cursor)

    @never_breaks_the_host
    def _end_rows(self, cursor: Any) -> None:
        result = vars(cursor).pop(RESULT_ATTRIBUTE, None)
        if result is not None:
            self.end_result(result)
