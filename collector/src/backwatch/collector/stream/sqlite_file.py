"""The embedded stream's file: opened privately, once in each process, its errors told in one line.

Every writer begins with ``BEGIN IMMEDIATE``: a read that turns into a write fails at once with "database is locked",
whatever the timeout.
"""

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from backwatch.collector import own
from backwatch.collector.settings import SettingError, make_private, without_secrets
from backwatch.collector.stream import StreamUnavailable

BUSY_TIMEOUT_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
    topic TEXT NOT NULL, offset INTEGER NOT NULL, key BLOB, value BLOB NOT NULL,
    appended_ns INTEGER NOT NULL, backfill INTEGER NOT NULL,
    UNIQUE (topic, offset)
);
CREATE TABLE IF NOT EXISTS progress (
    topic TEXT NOT NULL, "group" TEXT NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (topic, "group")
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topic (
    name TEXT PRIMARY KEY, next_offset INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
"""
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def path_of(url: str) -> Path:
    """The file that ``sqlite:///path`` names; absolute with four slashes.

    Raises:
        SettingError: It names none.
    """
    path = unquote(urlsplit(url).path)
    if not url.startswith("sqlite:///") or len(path) < 2:
        raise SettingError(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: must be sqlite:///path")
    return Path(path if not path.startswith("//") else path[1:])


class StreamBusy(StreamUnavailable):
    """Another connection is writing just now."""


class _Connection(sqlite3.Connection):
    """A connection of ours, which the probe of sqlite3 leaves alone."""


setattr(_Connection, own.MARK, True)


class StreamFile:
    """One process's connection to the stream's file. It does not survive a fork: the child opens its own.

    And the parent's must be closed by then (:meth:`let_go`): with it a child would inherit what SQLite notes of its
    locks, take none of its own, and write into a log that others may delete meanwhile.

    Args:
        url: Where it is.
        busy_timeout_s: How long SQLite itself waits for another writer.

    Raises:
        StreamBusy: It waited in vain.
        StreamUnavailable: The file cannot be opened.
    """

    def __init__(self, url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path_of(url)
        self._busy_timeout_s = busy_timeout_s
        self._pid = 0
        self._connection: sqlite3.Connection | None = None
        self._abandoned: list[sqlite3.Connection] = []
        with self.errors():
            self.connection()

    def connection(self) -> sqlite3.Connection:
        """The connection of this process, opened where there is none."""
        if self._connection is None or self._pid != os.getpid():
            if self._connection is not None:
                self._abandoned.append(self._connection)  # the parent's: closing it here could harm its locks
            self._connection = self._open()
            self._pid = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        make_private(self.path.parent)
        # SQLite gives its side files the mode of this one. A file that is there must not be opened past SQLite: closing
        # it would let go of every lock that this process holds on it, and others would then delete a log in use.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """A write transaction; undone if anything inside fails."""
        with self.errors():
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def errors(self) -> Generator[None]:
        """Turns SQLite's and the system's errors into one clear line."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            full = code in _FULL
            kind = StreamBusy if code == sqlite3.SQLITE_BUSY else StreamUnavailable
            told = kind(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error}{'; is the disk full?' if full else ''}")
            told.errno = errno.ENOSPC if full else None
            raise told from None
        except OSError as error:
            if isinstance(error, StreamUnavailable):
                raise
            raise StreamUnavailable(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error.strerror}") from None

    def let_go(self) -> None:
        """Closes the connection, if nothing is under way on it, until it is next wanted."""
        if self._connection is not None and not self._connection.in_transaction:
            self.close()

    def close(self) -> None:
        """Closes this process's connection."""
        if self._connection is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                self._connection.close()
        elif self._connection is not None:
            self._abandoned.append(self._connection)
        self._connection = None
