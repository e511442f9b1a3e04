"""The embedded stream's file: private to the user, opened once in each process, with one-line errors.

Every writer begins with ``BEGIN IMMEDIATE``: a read that becomes a write fails at once with "database is locked", with
any timeout.
"""

import errno
import logging
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from backwatch.collector.runtime import guard, internal_clients
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
MAX_DAMAGES: Final = 2
"""Errors of a damaged file, the second one on a new connection, after which it is set aside and recreated."""
SET_ASIDE: Final = ".damaged"
"""Suffix of the last damaged file, which is kept for inspection."""
_LOCK: Final = ".lock"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def parse_path(url: str) -> Path:
    """Return the file of ``sqlite:///path``; four slashes make it absolute.

    Raises:
        SettingError: The URL has no path.
    """
    path = unquote(urlsplit(url).path)
    if not url.startswith("sqlite:///") or len(path) < 2:
        raise SettingError(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: must be sqlite:///path")
    return Path(path if not path.startswith("//") else path[1:])


class StreamBusy(StreamUnavailable):
    """Another connection is writing just now."""


class _StreamConnection(sqlite3.Connection):
    """A connection of the collector, which the probe of sqlite3 ignores."""


setattr(_StreamConnection, internal_clients.INTERNAL_ATTRIBUTE, True)


class StreamFile:
    """One process's connection to the stream's file. It does not survive a fork: the child opens its own.

    The parent closes its connection before the fork (:meth:`release_before_fork`). A child that inherited it would
    inherit SQLite's notes about its locks, would take no locks of its own, and would write into a log that others may
    delete meanwhile.

    A file that is deleted, replaced or damaged while in use is opened again or recreated. Otherwise the connection
    would use a file that no other process sees, or fail for ever. Its contents are lost: :meth:`stream_id` changes.

    Args:
        url: The stream's URL.
        busy_timeout_s: Seconds that SQLite itself waits for another writer.

    Raises:
        StreamBusy: The wait timed out.
        StreamUnavailable: The file cannot be opened.
    """

    def __init__(self, url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = parse_path(url)
        self._busy_timeout_s = busy_timeout_s
        self._pid = 0
        self._connection: sqlite3.Connection | None = None
        self._abandoned: list[sqlite3.Connection] = []
        self._inodes: tuple[int, ...] = ()
        self._is_broken = False
        self._damages = 0
        self._was_open = False
        self.opened_id = 0
        """The id of the open stream."""
        with self.translate_errors():
            self.connection()

    def connection(self) -> sqlite3.Connection:
        """Return this process's connection; open it if there is none."""
        mine = self._connection is not None and self._pid == os.getpid()
        lost_log = mine and self._has_lost_log()
        if mine and (self._is_broken or self._is_replaced()):
            self.close()
        if self._connection is None or self._pid != os.getpid():
            if self._connection is not None:
                self._abandoned.append(self._connection)  # the parent's: closing it here could release its locks
            if self._damages >= MAX_DAMAGES and self._was_open:
                self._set_aside()
            before, self._inodes = self._inodes, self._find_inodes()
            if self._inodes[:1] != before[:1]:
                self._damages = 0
            self._connection = self._open(not_number=self.opened_id if lost_log else 0)
            self._pid = os.getpid()
            self._is_broken, self._was_open = False, True
            self._inodes = self._find_inodes()
        return self._connection

    def stream_id(self) -> int:
        """Return the id of this file's stream; a recreated one has another."""
        self.connection()
        return self.opened_id

    def _find_inodes(self) -> tuple[int, ...]:
        """Return the inodes of the file and of its log, if there is one.

        An empty file does not count: the next process that opens it deletes the log, which a connection would go on
        using.
        """
        found: list[int] = []
        for path in (self.path, Path(f"{self.path}-wal")):
            try:
                status = path.stat()
            except OSError:
                break
            if not found and not status.st_size:
                break
            found.append(status.st_ino)
        return tuple(found)

    def _is_replaced(self) -> bool:
        """Return whether the path is another file now: SQLite goes on with a deleted one, which others do not see.

        The system does not reuse an inode while this connection holds it.
        """
        inodes = self._find_inodes()
        if inodes == self._inodes:
            return False
        if len(self._inodes) == 1 and inodes[:1] == self._inodes:  # its log was created
            self._inodes = inodes
            return False
        return True

    def _has_lost_log(self) -> bool:
        """Return whether the file is the same but its log is not: offsets would then be assigned twice."""
        inodes = self._find_inodes()
        return len(self._inodes) == 2 and inodes[:1] == self._inodes[:1] and inodes != self._inodes

    def _set_aside(self) -> None:
        """Rename a damaged file, so that a new one can be created; one process does it, once.

        Not at a process's first opening: the URL may name a file that was never a stream.
        """
        with _hold_lock(self.path.with_name(self.path.name + _LOCK)):
            if self._find_inodes()[:1] == self._inodes[:1]:
                for ending in ("-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{ending}").unlink()
                self.path.replace(f"{self.path}{SET_ASIDE}")
                guard.log(
                    "backwatch: the embedded stream was damaged; it is kept as %s and made anew; what it held is lost",
                    f"{self.path.name}{SET_ASIDE}", level=logging.ERROR,
                )  # fmt: skip
        self._damages = 0

    def _open(self, not_number: int) -> sqlite3.Connection:
        make_private(self.path.parent)
        # SQLite gives its side files the mode of this one. An existing file must not be opened without SQLite: closing
        # it would release every lock that this process holds on it, and others would then delete a log in use.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            factory=_StreamConnection,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            connection.text_factory = bytes  # a damaged value may be marked as text without being valid text
            self.opened_id = _number(connection, not_number)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Run the block in a write transaction, rolled back if anything inside fails."""
        with self.translate_errors():
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
    def translate_errors(self) -> Generator[None]:
        """Translate errors of SQLite and the system into a one-line :class:`StreamUnavailable`."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            full = code in _FULL
            kind = StreamBusy if code == sqlite3.SQLITE_BUSY else StreamUnavailable
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL):
                self._is_broken = True  # reopened at the next use: a file that was read-only stays so on a connection
                self._damages += code in _DAMAGED
            hint = "; is the disk full?" if full else ""
            translated = kind(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error}{hint}")
            translated.errno = errno.ENOSPC if full else None
            raise translated from None
        except OSError as error:
            if isinstance(error, StreamUnavailable):
                raise
            raise StreamUnavailable(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error.strerror}") from None

    def release_before_fork(self) -> None:
        """Close the connection until its next use, unless it is in a transaction."""
        if self._connection is not None and not self._connection.in_transaction:
            self.close()

    def close(self) -> None:
        """Close this process's connection."""
        if self._connection is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                self._connection.close()
        elif self._connection is not None:
            self._abandoned.append(self._connection)
        self._connection = None


def _number(connection: sqlite3.Connection, not_number: int) -> int:
    """Return the random number in the file; write one if the file has none, or has ``not_number``."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number not in (0, not_number):
        return number
    connection.execute("BEGIN IMMEDIATE")
    try:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        if number in (0, not_number):
            number = int.from_bytes(os.urandom(4), "big") >> 1 | 1
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return number


@contextmanager
def _hold_lock(path: Path) -> Generator[None]:
    """Hold a file lock against other processes, if the system has them. Never waits."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StreamUnavailable(f"BACKWATCH_STREAM_URL: {path.name} is held by another process") from None
        yield
