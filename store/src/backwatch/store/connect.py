"""Opens the store: SQLite or PostgreSQL by URL, with the habits that each of them needs."""

import contextlib
import errno
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import ExceptionContext

from backwatch.collector.settings import SettingError, default_store_url, make_private, without_secrets
from backwatch.store.failures import StoreFull, StoreUnavailable
from backwatch.store.migrate import require_current
from backwatch.store.postgresql import open_postgresql, parse_url
from backwatch.store.tables import PREFIX
from backwatch.store.transactions import WRITES

__all__ = ["StoreFull", "StoreUnavailable", "is_refused", "open_store"]

SETTING: Final = "BACKWATCH_STORE_URL"
BUSY_TIMEOUT_S: Final = 10
_SQLITE_AWAY: Final = (
    "SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CORRUPT",
    "SQLITE_NOTADB", "SQLITE_PERM", "SQLITE_AUTH",
)  # fmt: skip
_READ_ONLY: Final = ("25006", "0A000")
"""A standby: it refuses the write, or the ``BEGIN READ WRITE`` that psycopg sends once a read-only one was made."""
_POSTGRESQL_AWAY: Final = (
    "08", "28", "3D",  # connection, login, no such database
    *_READ_ONLY, "25P03", "40", "42501", "53", "55P03", "57", "58",
)  # fmt: skip
"""Also: read-only (a standby), idle for too long, rolled back, out of something, locked, ending or cancelled, I/O;
and not permitted, which an administrator mends."""
_NO_SUCH_TABLE: Final = "42P01"
_NO_TABLE_IN_SQLITE: Final = f"no such table: {PREFIX}"
_POSTGRESQL_REFUSED: Final = ("21", "22", "23", "54")
"""A row twice in one statement; data that is out of range or not representable; constraints; program limits."""


def open_store(url: str = "", *, check: bool = True, must_exist: bool = False) -> sa.Engine:
    """The store, ready for use: an empty database is given its tables, a store of another version is refused.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``; empty: beside the embedded stream.
        check: False only for what brings the tables up to date; nothing is connected to then.
        must_exist: For everything but what makes stores: a file that is not there or a database without a store is
            misspelt rather than wanted, and nothing at all is written into it.

    Raises:
        SettingError: The URL cannot be used, or the store's tables are older or newer than this code.
        StoreUnavailable: The store does not answer, its file cannot be opened, or it must exist and does not.
        StoreFull: The disk is full.
    """
    url = url or default_store_url()
    parsed = _parse(url)
    name = f"{SETTING}={without_secrets(url)!r}"
    engine = (
        _sqlite(parsed, name, must_exist=must_exist)
        if parsed.get_backend_name() == "sqlite"
        else open_postgresql(parsed)
    )
    _speak_plainly(engine, name)
    if check:
        require_current(engine, name, create=not must_exist)
    return engine


def _parse(url: str) -> URL:
    name = f"{SETTING}={without_secrets(url)!r}"
    try:
        parsed = parse_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingError(f"{name}: not a URL; use sqlite:///path or postgresql://user@host/database") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if not parsed.database or parsed.database == ":memory:":
            raise SettingError(f"{name}: a SQLite store needs a path: sqlite:///path")
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        if not parsed.database:
            raise SettingError(f"{name}: the name of the database is missing")
        return parsed.set(drivername="postgresql+psycopg")
    raise SettingError(f"{name}: {parsed.drivername[:40]!r} is neither sqlite nor postgresql")


def _sqlite(parsed: URL, name: str, *, must_exist: bool) -> sa.Engine:
    path = Path(parsed.database or "").expanduser()
    if must_exist and not path.exists():
        raise StoreUnavailable(
            f"{name}: there is no such file; `backwatch detect` makes a store, or `backwatch db upgrade`"
        )
    if not must_exist:
        _make_private(path, name)
    engine = sa.create_engine(
        parsed.set(database=str(path)), hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN is deferred: a transaction that reads before it writes would then fail at once with
        # "database is locked" for any timeout. So BEGIN is sent here.
        connection.isolation_level = None
        # The journal's mode is kept in the file: a reader leaves it as it is, for the file may not be a store at all.
        if not must_exist:
            _use_wal(connection)
        for pragma in ("synchronous=full", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}").close()

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        # A writer takes its lock at once and waits for it; only ``writing`` asks for that, so readers never queue up.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set the journal's mode; where others set it at the same moment, SQLite does not wait by itself."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("pragma journal_mode=wal").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return


def _make_private(path: Path, name: str) -> None:
    """The file, and the folders that are missing on its way, for this user alone; what exists keeps its mode."""
    try:
        make_private(path.parent)
        # Only a file that is not there is opened: closing one past SQLite drops every lock that this process has on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(errno.ENOSPC, f"{name}: the disk is full") from None
        raise StoreUnavailable(f"{name}: {error.strerror}") from None


def _speak_plainly(engine: sa.Engine, name: str) -> None:
    """Turn the drivers' errors for a full disk and an unavailable store into errors that name the setting."""

    @event.listens_for(engine, "handle_error")
    def _(context: ExceptionContext) -> BaseException | None:
        original = context.original_exception
        if _is_full(original):
            return StoreFull(errno.ENOSPC, f"{name}: the disk is full, nothing of this was stored")
        if getattr(original, "sqlstate", None) in _READ_ONLY:
            context.is_disconnect = True  # a connection anew may reach the primary; this one never will
        if context.is_disconnect or _is_away(original):
            reason = (str(original).strip().splitlines() or [type(original).__name__])[0].strip()
            return StoreUnavailable(f"{name}: {reason[:200]}")
        return None


def is_refused(error: exc.DBAPIError) -> bool:
    """Return whether a value in the statement is at fault, so that the same statement will never be taken."""
    if isinstance(error, exc.DataError | exc.IntegrityError):
        return True
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return not hasattr(original, "sqlite_errorname")  # the driver's own refusal: nothing reached the database
    state: str | None = getattr(original, "sqlstate", None)
    if state is None:
        return isinstance(original, psycopg.ProgrammingError)
    return state[:2] in _POSTGRESQL_REFUSED


def _is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return getattr(error, "sqlstate", None) == "53100"


def _is_away(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return _NO_TABLE_IN_SQLITE in str(error) or getattr(error, "sqlite_errorname", "").startswith(_SQLITE_AWAY)
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:  # no answer at all: refused, timed out, broken off
        return isinstance(error, psycopg.OperationalError)
    gone = state == _NO_SUCH_TABLE and PREFIX in str(error)  # while the store is being restored
    return gone or state.startswith(_POSTGRESQL_AWAY)
