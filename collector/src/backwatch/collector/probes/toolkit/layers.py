"""What the layers above SQL drivers share (SQLAlchemy, Django): they tell only what no probe below them can.

Who lies below is asked by name (``probes.watched``), never by context: a driver that a probe of ours watches tells its
calls itself, and knows more of them.
"""

import os
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import is_instrumented
from backwatch.collector.probes.toolkit.dbapi import UNKNOWN, Facts, Link, Watch
from backwatch.collector.probes.toolkit.sockets import words

MAX_TEXT: Final = 200
_BELOW: Final = {"aiosqlite": "sqlite3", "aioodbc": "pyodbc"}
"""Drivers that are threads around another one, which is then seen itself."""
_SYSTEMS: Final = {
    "mariadb": "mysql",
    "oracle": "oracle.db",
    "mssql": "microsoft.sql_server",
    "microsoft": "microsoft.sql_server",
}
"""What the layers call a system, and OpenTelemetry's name for it."""


def seen_below(driver: str) -> bool:
    """Whether a probe of ours sees what this driver does."""
    return is_instrumented(driver) or is_instrumented(_BELOW.get(driver.partition(".")[0], driver))


def system_of(name: str) -> str:
    """``db.system.name`` of what a layer calls so."""
    return _SYSTEMS.get(name, name)


def file_of(database: object) -> str:
    """The file of an SQLite database, as the driver is asked to open it."""
    path = words(database, MAX_TEXT)
    return os.path.abspath(path) if path and not path.startswith((":memory:", "file:")) else path  # noqa: PTH100  not resolved


def version_of(parts: object) -> str:
    """``(15, 13)`` as ``15.13``."""
    return words(".".join(str(part) for part in parts)) if isinstance(parts, (tuple, list)) else ""


def code_of(error: BaseException | None) -> Facts:
    """The server's word for what went wrong, where a driver keeps it in one of the usual places."""
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error, name, None)
        if isinstance(code, str) and code:
            return ((names.STATUS_CODE, words(code, 20)),)
    first = error.args[0] if error is not None and error.args else None
    if isinstance(first, dict):  # pg8000
        first = first.get("C")
        return ((names.STATUS_CODE, words(first, 20)),) if isinstance(first, str) else ()
    return ((names.STATUS_CODE, str(first)),) if type(first) is int else ()


def rows_of(cursor: Any) -> tuple[int, int]:
    """Rows returned and affected, as far as the cursor knows once it has executed; returned 0 is said by none."""
    count = getattr(cursor, "rowcount", UNKNOWN)
    count = count if isinstance(count, int) and count >= 0 else UNKNOWN
    if getattr(cursor, "description", None) is None:
        return UNKNOWN, count
    # Some drivers say 0 until rows are read: what was read is then told when it has been.
    return (count if count > 0 else UNKNOWN), UNKNOWN


class Reading:
    """Rows of one statement on their way to the app.

    Attributes:
        inside: A read is on its way, so its rows are not counted yet.
        closed: No more will be read.
    """

    __slots__ = ("closed", "inside", "link", "rows", "since_ns", "sql")

    def __init__(self, link: Link, sql: object, since_ns: int) -> None:
        self.link: Link | None = link
        self.sql = sql
        self.since_ns = since_ns
        self.rows = 0
        self.inside = False
        self.closed = False


class LayerWatch(Watch):
    """Where a layer reports."""

    def end(self, reading: Reading, error: BaseException | None = None) -> None:
        """All rows have been read, or no more are wanted; told once."""
        link, reading.link = reading.link, None
        if link is not None:
            rows = (reading.rows, UNKNOWN)
            self.tell(link, "FETCH", reading.since_ns, sql=reading.sql, rows=rows, error=error, facts=code_of(error))
