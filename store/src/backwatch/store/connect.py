"""Opens the store: SQLite or PostgreSQL by URL, with the habits that each of them needs."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import ExceptionContext

from backwatch.collector.settings import SettingError, without_secrets

SETTING: Final = "BACKWATCH_STORE_URL"
BUSY_TIMEOUT_MS: Final = 10_000
CONNECT_TIMEOUT_S: Final = 10
_READ_ONLY: Final = "backwatch_read_only"


class StoreUnavailable(ConnectionError):
    """The store does not answer. The message names the setting and the address, never a secret."""


class StoreFull(OSError):
    """The store's disk is full: nothing of the transaction was kept, and nothing before it was lost."""


def open_store(url: str) -> sa.Engine:
    """The store's engine; nothing is connected to yet, but a SQLite file and its folder are made, for this user alone.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``.

    Raises:
        SettingError: The URL cannot be used.
        StoreUnavailable: The file cannot be opened.
    """
    parsed = _parsed(url)
    engine = _sqlite(parsed, url) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    _speak_plainly(engine, without_secrets(url))
    return engine


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Generator[sa.Connection]:
    """A connection whose transaction sees one moment and never waits for a writer."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Generator[sa.Connection]:
    """A connection in a transaction that may write: committed at the end, rolled back on any exception."""
    with engine.begin() as connection:
        yield connection


def _parsed(url: str) -> URL:
    shown = without_secrets(url)
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingError(
            f"{SETTING}={shown!r}: not a URL; use sqlite:///path or postgresql://user@host/database"
        ) from None
    name = parsed.drivername
    if name in ("sqlite", "sqlite+pysqlite"):
        if not parsed.database or parsed.database == ":memory:":
            raise SettingError(f"{SETTING}={shown!r}: a SQLite store needs a path: sqlite:///path")
        return parsed.set(drivername="sqlite+pysqlite")
    if name in ("postgresql", "postgres", "postgresql+psycopg"):
        if not parsed.database:
            raise SettingError(f"{SETTING}={shown!r}: the name of the database is missing")
        return parsed.set(drivername="postgresql+psycopg")
    raise SettingError(f"{SETTING}={shown!r}: {parsed.get_backend_name()!r} is neither sqlite nor postgresql")


def _sqlite(parsed: URL, url: str) -> sa.Engine:
    path = Path(parsed.database or "").expanduser()
    _make_private(path, without_secrets(url))
    engine = sa.create_engine(parsed.set(database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own BEGIN is deferred: a transaction that reads before it writes would then fail at once with
        # "database is locked" whatever the timeout. We say BEGIN ourselves.
        connection.isolation_level = None
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}").close()

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _make_private(path: Path, shown: str) -> None:
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFull(errno.ENOSPC, f"{SETTING}={shown!r}: the disk is full") from None
        raise StoreUnavailable(f"{SETTING}={shown!r}: {error.strerror}") from None


def _postgresql(parsed: URL) -> sa.Engine:
    return sa.create_engine(
        parsed,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "backwatch"},
    )


def _speak_plainly(engine: sa.Engine, shown: str) -> None:
    """Turns the drivers' errors for a full disk and a store that is away into ours, which name the setting."""

    @event.listens_for(engine, "handle_error")
    def _(context: ExceptionContext) -> BaseException | None:
        original = context.original_exception
        if _is_full(original):
            return StoreFull(errno.ENOSPC, f"{SETTING}={shown!r}: the disk is full, nothing of this was stored")
        if context.is_disconnect or _is_away(original):
            reason = (str(original).strip().splitlines() or [type(original).__name__])[-1].strip()
            return StoreUnavailable(f"{SETTING}={shown!r}: {reason[:200]}")
        return None


def _is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return getattr(error, "sqlstate", None) == "53100"


def _is_away(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        names = (
            "SQLITE_CANTOPEN",
            "SQLITE_BUSY",
            "SQLITE_LOCKED",
            "SQLITE_IOERR",
            "SQLITE_READONLY",
            "SQLITE_CORRUPT",
            "SQLITE_NOTADB",
        )
        return getattr(error, "sqlite_errorname", "").startswith(names)
    state = getattr(error, "sqlstate", None)
    if (
        type(error).__module__.startswith("psycopg")
        and type(error).__name__ in ("OperationalError", "ConnectionTimeout")
        and state is None
    ):
        return True
    return isinstance(state, str) and (state[:2] in ("08", "28", "3D") or state in ("57P01", "57P02", "57P03", "53300"))
