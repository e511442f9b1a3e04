"""Opens the store: SQLite or PostgreSQL by URL, with the habits that each of them needs."""

import contextlib
import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import ExceptionContext

from backwatch.collector.settings import SettingError, default_store_url, make_private, without_secrets
from backwatch.store.migrate import require_current
from backwatch.store.transactions import WRITES

SETTING: Final = "BACKWATCH_STORE_URL"
BUSY_TIMEOUT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 10
_SQLITE_AWAY: Final = (
    "SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
)  # fmt: skip
_POSTGRESQL_AWAY: Final = ("08", "28", "3D", "57P01", "57P02", "57P03", "53300")
"""Connection, login, no such database; shutting down, crashed, starting; too many connections."""
_POSTGRESQL_REFUSED: Final = ("21", "22", "23", "54")
"""A row twice in one statement; data that is out of range or not representable; constraints; program limits."""


class StoreUnavailable(ConnectionError):
    """The store does not answer. The message names the setting and the address, never a secret."""


class StoreFull(OSError):
    """The store's disk is full: nothing of the transaction was kept, and nothing before it was lost."""


def open_store(url: str = "", *, check: bool = True, must_exist: bool = False) -> sa.Engine:
    """The store, ready for use: an empty one is given its tables, one of another version is refused.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``; empty: beside the embedded stream.
        check: False only for whoever brings the tables up to date; nothing is connected to then.
        must_exist: For whoever only looks at it: a file that is not there is misspelt rather than wanted.

    Raises:
        SettingError: The URL cannot be used, or the store's tables are older or newer than this code.
        StoreUnavailable: The store does not answer, or its file cannot be opened.
        StoreFull: The disk is full.
    """
    url = url or default_store_url()
    parsed = _parsed(url)
    name = f"{SETTING}={without_secrets(url)!r}"
    engine = (
        _sqlite(parsed, name, must_exist=must_exist) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    )
    _speak_plainly(engine, name)
    if check:
        require_current(engine, name)
    return engine


def _parsed(url: str) -> URL:
    name = f"{SETTING}={without_secrets(url)!r}"
    try:
        parsed = make_url(url)
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
    _make_private(path, name)
    engine = sa.create_engine(
        parsed.set(database=str(path)), hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN is deferred: a transaction that reads before it writes would then fail at once with
        # "database is locked" whatever the timeout. We say BEGIN ourselves.
        connection.isolation_level = None
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}").close()

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        # A writer takes its lock at once and waits for it; only ``writing`` asks for that, so readers never queue up.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


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


def _postgresql(parsed: URL) -> sa.Engine:
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "backwatch"}
    return sa.create_engine(
        parsed,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={key: value for key, value in defaults.items() if key not in parsed.query},
    )


def _speak_plainly(engine: sa.Engine, name: str) -> None:
    """Turns the drivers' errors for a full disk and for a store that is away into ours, which name the setting."""

    @event.listens_for(engine, "handle_error")
    def _(context: ExceptionContext) -> BaseException | None:
        original = context.original_exception
        if _is_full(original):
            return StoreFull(errno.ENOSPC, f"{name}: the disk is full, nothing of this was stored")
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
        return getattr(error, "sqlite_errorname", "").startswith(_SQLITE_AWAY)
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:  # no answer at all: refused, timed out, broken off
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in _POSTGRESQL_AWAY or state in _POSTGRESQL_AWAY
