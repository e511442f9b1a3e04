"""Building blocks of the probes of layers above SQL drivers (SQLAlchemy, Django).

A layer records only the calls that no driver's probe can record. Whether there is one is a question of the driver's
name (``probes.is_instrumented``), never of the running call: a driver's probe knows more of its calls than a layer.
"""

import os
from typing import Any, Final

from backwatch.collector.probes import is_instrumented
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    UNKNOWN,
    CallObserver,
    ConnectionState,
    OpenResult,
    RowCounts,
    status_facts,
)
from backwatch.collector.probes.toolkit.hooks import Error, Exit, function_hook
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Facts

HOOK_MARK: Final = "_backwatch_hook"
"""Attribute of every hook that stands in an object's own ``__dict__``."""
_INNER_DRIVERS: Final = {"aiosqlite": "sqlite3", "aioodbc": "pyodbc"}
"""Drivers that run another one in threads, which is then observed itself."""
_SYSTEMS: Final = {
    "mariadb": "mysql",
    "oracle": "oracle.db",
    "mssql": "microsoft.sql_server",
    "microsoft": "microsoft.sql_server",
}
"""The layers' names of systems, and OpenTelemetry's."""


def is_observed(driver: str) -> bool:
    """Return true if a driver's probe records the calls of this driver."""
    return is_instrumented(driver) or is_instrumented(_INNER_DRIVERS.get(driver.partition(".")[0], driver))


def to_system_name(name: str) -> str:
    """Return ``db.system.name`` for a layer's name of a system."""
    return _SYSTEMS.get(name, name)


def to_file_path(database: object) -> str:
    """Return the file of an SQLite database, as the driver is asked to open it."""
    path = words(database, MAX_TEXT_CHARACTERS)
    return os.path.abspath(path) if path and not path.startswith((":memory:", "file:")) else path  # noqa: PTH100  not resolved


def format_version(parts: object) -> str:
    """Return ``(15, 13)`` as ``15.13``."""
    return words(".".join(str(part) for part in parts)) if isinstance(parts, (tuple, list)) else ""


def error_facts(error: Error) -> Facts:
    """Return the server's error code, where a driver keeps it in one of the usual places."""
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error, name, None)
        if isinstance(code, str) and code:
            return status_facts(words(code, 20))
    first = error.args[0] if error is not None and error.args else None
    if isinstance(first, dict):  # pg8000
        first = first.get("C")
        return status_facts(words(first, 20)) if isinstance(first, str) else ()
    return status_facts(str(first)) if type(first) is int else ()


def count_rows(cursor: Any) -> RowCounts:
    """Return rows returned and affected, as far as the cursor knows once it has executed; 0 returned is unknown."""
    count = getattr(cursor, "rowcount", UNKNOWN)
    count = count if isinstance(count, int) and count >= 0 else UNKNOWN
    if getattr(cursor, "description", None) is None:
        return UNKNOWN, count
    # Some drivers give 0 until rows are read: these are recorded once they have been.
    return (count if count > 0 else UNKNOWN), UNKNOWN


def hook_method(owner: Any, name: str, on_end: Exit) -> None:
    """Put a hook of one method into an object's own ``__dict__``, before its class's method."""
    original = getattr(owner, name, None)
    if original is not None and name not in vars(owner):
        hook = function_hook(None, lambda _, token, result, error: on_end(owner, token, result, error))(original)
        setattr(hook, HOOK_MARK, True)
        vars(owner)[name] = hook


def remove_hooks(owner: Any) -> None:
    """Remove the hooks of an object's own ``__dict__``."""
    attributes = vars(owner)
    for name in [name for name, value in attributes.items() if hasattr(value, HOOK_MARK)]:
        del attributes[name]


class LayerResult(OpenResult):
    """Rows of one statement that the app reads through a layer.

    Attributes:
        state: Of the connection; ``None`` once the rows are recorded.
        inside: A read is running, whose rows are not counted yet.
        is_closed: No more rows will be read.
    """

    __slots__ = ("inside", "is_closed", "state")

    def __init__(self, state: ConnectionState, sql: object, since_ns: int) -> None:
        super().__init__(sql, since_ns)
        self.state: ConnectionState | None = state
        self.inside = False
        self.is_closed = False


class LayerCallObserver(CallObserver):
    """Records the calls of a layer."""

    def end_result(self, result: LayerResult, error: Error = None) -> None:
        """Record the rows of a result, once: all of them have been read, or those that the app wanted."""
        state, result.state = result.state, None
        if state is not None:
            rows, since_ns = result.take_rows()
            facts = error_facts(error)
            self.record_call(state, "FETCH", since_ns, sql=result.sql, rows=(rows, UNKNOWN), error=error, facts=facts)
