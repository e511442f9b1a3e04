"""Copies of a SQLite store, made and put back while others have it open, through SQLite's own backup interface.

A file copied by other means may lack what is still in the write-ahead log, and one that is put under a running process
corrupts the store.
"""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa

from backwatch.collector.settings import SettingError, without_secrets
from backwatch.store import migrate
from backwatch.store.connect import SETTING, open_store
from backwatch.store.failures import StoreUnavailable


def write_backup(engine: sa.Engine, path: Path) -> int:
    """Copy the store as it is at one moment, of any version; the file appears once it is whole.

    Returns:
        Its size in bytes.

    Raises:
        SettingError: The store is no SQLite store.
        StoreUnavailable: The database holds no store.
        FileExistsError: There is such a file already.
    """
    _require_sqlite(engine, "pg_dump")
    with engine.connect() as connection:
        if migrate.get_version(connection) is None:
            raise StoreUnavailable(f"{SETTING}='sqlite:///{engine.url.database}': holds no Backwatch store")
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        with _plain_errors(path), _driver(engine) as source, contextlib.closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
            copy.execute("pragma journal_mode=delete").close()  # one file, which needs no log beside it
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.link(partial, path)  # unlike a rename, never over a file that came meanwhile
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def restore_backup(engine: sa.Engine, path: Path) -> str:
    """Replace the store's content by that of a backup, whole or not at all; a file that SQLite cannot read is kept.

    Returns:
        The version of the tables that are there now: the backup's, which may be older than this code.

    Raises:
        SettingError: The store is no SQLite store, or the backup is newer than this code.
        StoreUnavailable: The file holds no store.
    """
    _require_sqlite(engine, "pg_restore")
    backup = open_store(f"sqlite:///{path.resolve()}", check=False, must_exist=True)
    try:
        with backup.connect() as connection:
            version = migrate.get_version(connection)
    except StoreUnavailable:
        version = None
    if version is None:
        raise StoreUnavailable(f"{path}: holds no Backwatch store")
    migrate.refuse_newer(version, str(path))
    _set_broken_aside(Path(engine.url.database or ""))
    with _plain_errors(path), _driver(backup) as source, _driver(engine) as target:
        source.backup(target)
        target.execute("pragma journal_mode=wal").close()
    backup.dispose()
    return version


def _set_broken_aside(path: Path) -> None:
    """Rename a file that is no database any more; SQLite would not write into it."""
    with contextlib.closing(sqlite3.connect(path)) as probe:
        try:
            probe.execute("pragma schema_version").close()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise
        else:
            return
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}{suffix}.broken-{moment}"))
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _require_sqlite(engine: sa.Engine, program: str) -> None:
    if engine.dialect.name != "sqlite":
        shown = without_secrets(engine.url.set(drivername="postgresql").render_as_string(hide_password=True))
        raise SettingError(f"{SETTING}={shown!r}: is no SQLite store; for PostgreSQL use {program}")


@contextlib.contextmanager
def _plain_errors(path: Path) -> Generator[None]:
    """Failures of SQLite below SQLAlchemy, as one line that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, f"{path}: {os.strerror(errno.ENOSPC) if full else error}", str(path)) from None


@contextlib.contextmanager
def _driver(engine: sa.Engine) -> Generator[sqlite3.Connection]:
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError(f"{type(driver).__name__} is no connection to SQLite")
        yield driver
