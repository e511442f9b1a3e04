"""Observation of sqlite3's calls: files, statements, rows, transactions."""

import importlib
import os
from time import time_ns
from typing import Any, Final

from backwatch.collector.exposure import mode
from backwatch.collector.exposure.rows import description_names, parameter_facts, row_facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    OpenResult,
    argument,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Kwargs, call_hook
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts, Session

_IS_SEEN: Final = "_backwatch_seen"
"""Attribute of a cursor: its observed class has seen the running call, which an app's method may send past it."""


def _error_facts(error: Error) -> Facts:
    return status_facts(getattr(error, "sqlite_errorname", None))


def _address(database: Any, *, uri: bool) -> str:
    """Return the file as the app named it; of a URI only the path: its query may hold keys of encrypted files."""
    path = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
    if uri and path.startswith("file:"):
        path = path.partition("?")[0].partition("#")[0]
    return words(path, MAX_TEXT_CHARACTERS)


class SQLiteCallObserver(CallObserver):
    """Follows sqlite3's connections and cursors."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._module: Any = importlib.import_module("sqlite3")

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, error: Error) -> None:
        """Record that a file was opened, or not."""
        if self.recorder is None:
            return
        address = _address(argument(args, kwargs, 0, "database"), uri=bool(argument(args, kwargs, 7, "uri")))
        version = self._module.sqlite_version
        state = ConnectionState(Session(system="sqlite", address=address, transport="inproc", server_version=version))
        if hasattr(connection, "__dict__"):
            connection.__dict__[STATE_ATTRIBUTE] = state
        self.record_call(state, "connect", start_ns, error=error, facts=_error_facts(error))

    # --- statements ---

    def execute_hook(self, operation: str) -> Decorator:
        """Wrap ``execute``, ``executemany`` or ``executescript``."""

        @never_breaks_the_host
        def on_execute(cursor: Any, args: Args, _: Kwargs) -> tuple[int, Args]:
            self.record_fetch(cursor)
            cursor.__dict__[_IS_SEEN] = True  # past any ``__setattr__`` of the app
            return time_ns(), args

        @never_breaks_the_host
        def on_execute_end(cursor: Any, token: tuple[int, Args], _: Any, error: Error) -> None:
            self._record_statement(cursor, operation, token, error)

        return call_hook(on_execute, on_execute_end)

    def outer_execute_hook(self, operation: str) -> Decorator:
        """Wrap a method of an app's class that may call ``sqlite3.Cursor`` by name, past the observed class."""

        @never_breaks_the_host
        def on_execute(cursor: Any, args: Args, _: Kwargs) -> tuple[int, Args]:
            self.record_fetch(cursor)
            cursor.__dict__[_IS_SEEN] = False
            return time_ns(), args

        @never_breaks_the_host
        def on_execute_end(cursor: Any, token: tuple[int, Args], _: Any, error: Error) -> None:
            if not cursor.__dict__[_IS_SEEN] and (error is None or isinstance(error, self._module.Error)):
                self._record_statement(cursor, operation, token, error)

        return call_hook(on_execute, on_execute_end)

    def _record_statement(self, cursor: Any, operation: str, token: tuple[int, Args], error: Error) -> None:
        start_ns, args = token
        state = cursor.connection.__dict__.get(STATE_ATTRIBUTE)
        if state is None or self.recorder is None:
            return
        sql, affected = args[0] if args else None, UNKNOWN
        if error is None and operation != "executescript":
            affected = cursor.rowcount
            if cursor.description is not None:
                cursor.__dict__[RESULT_ATTRIBUTE] = OpenResult(sql, time_ns())
        facts = _error_facts(error)
        if mode.reads_values and len(args) > 1:
            facts += parameter_facts(sql, args[1])
        self.record_call(state, "", start_ns, sql=sql, rows=(UNKNOWN, affected), error=error, facts=facts)

    @never_breaks_the_host
    def record_fetch(self, cursor: Any, error: Error = None) -> None:
        """Record the rows of a statement that have been read, once: all of them, or those that the app wanted."""
        result = cursor.__dict__.pop(RESULT_ATTRIBUTE, None)
        if result is None:
            return
        state = cursor.connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None:
            facts = () if result.sample is None else self._sample_facts(cursor, result)
            rows, since_ns = result.take_rows()
            self.record_call(state, "FETCH", since_ns, sql=result.sql, rows=(rows, UNKNOWN), error=error, facts=facts)

    def _sample_facts(self, cursor: Any, result: OpenResult) -> Facts:
        """Return the kinds of data in the rows that were read. ``sqlite3.Row`` is a tuple with names."""
        named = self._module.Row
        return row_facts(
            result.sql, lambda: description_names(cursor.description),
            lambda: (tuple(row) if row.__class__ is named else row for row in result.sample or ()),
        )  # fmt: skip

    # --- transactions ---

    def is_idle(self, connection: Any) -> bool:
        """Return true if no transaction is open: then commit and rollback do nothing."""
        try:
            return not connection.in_transaction
        except self._module.Error:
            return False  # closed: the driver's error is recorded

    @never_breaks_the_host
    def record_transaction_end(self, connection: Any, word: str, start_ns: int, error: Error, sql: str) -> None:
        """Record the end of a transaction."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None:
            self.record_call(state, word, start_ns, sql=sql, error=error, facts=_error_facts(error))
