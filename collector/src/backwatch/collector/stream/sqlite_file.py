"""The embedded stream's file: opened privately, once in each process, its errors told in one line.

Every writer begins with ``BEGIN IMMEDIATE``: a read that turns into a write fails at once with "database is locked",
whatever the timeout.
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
"""Errors of a damaged file, the second one on a new connection, after which it is set aside and made anew."""
SET_ASIDE: Final = ".damaged"
"""Ends the name of the last damaged file, which is kept to be looked at."""
_LOCK: Final = ".lock"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
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


setattr(_Connection, internal_clients.INTERNAL_ATTRIBUTE, True)


class StreamFile:
    """One process's connection to the stream's file. It does not survive a fork: the child opens its own.

    The parent closes its connection before the fork (:meth:`release_before_fork`). A child that inherited it would
    inherit SQLite's notes about its locks, would take no locks of its own, and would write into a log that others may
    delete meanwhile.

    A file that is deleted, replaced or damaged while it is in use is opened or made anew: else the connection goes on
    with what no other process sees, or fails for ever. What it held is lost: :meth:`stream_id` changes.

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
        self._inodes: tuple[int, ...] = ()
        self._is_broken = False
        self._damages = 0
        self._was_open = False
        self.opened_id = 0
        """The number of the stream that is open."""
        with self.errors():
            self.connection()

    def connection(self) -> sqlite3.Connection:
        """The connection of this process, opened where there is none."""
        mine = self._connection is not None and self._pid == os.getpid()
        lost_log = mine and self._has_lost_log()
        if mine and (self._is_broken or self._is_replaced()):
            self.close()
        if self._connection is None or self._pid != os.getpid():
            if self._connection is not None:
                self._abandoned.append(self._connection)  # the parent's: closing it here could harm its locks
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
        """Return the number of this file's stream; one that is made anew has another."""
        self.connection()
        return self.opened_id

    def _find_inodes(self) -> tuple[int, ...]:
        """Return what tells the file, and its log where there is one, from others of their names.

        An empty file is none: who opens it next deletes the log, which a connection alone would go on with.
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
        """Return whether the name leads to another file: SQLite goes on with one that was deleted, unseen by others.

        An inode that this connection holds is given to no other file meanwhile.
        """
        inodes = self._find_inodes()
        if inodes == self._inodes:
            return False
        if len(self._inodes) == 1 and inodes[:1] == self._inodes:  # its log came to be
            self._inodes = inodes
            return False
        return True

    def _has_lost_log(self) -> bool:
        """Return whether the file is the same and its log is not: offsets that were given are given once more then."""
        inodes = self._find_inodes()
        return len(self._inodes) == 2 and inodes[:1] == self._inodes[:1] and inodes != self._inodes

    def _set_aside(self) -> None:
        """Give a damaged file another name, so that a new one can be made; one process does it, once.

        Not at a process's first opening: an address may name a file that was never a stream.
        """
        with _locked(self.path.with_name(self.path.name + _LOCK)):
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
            connection.text_factory = bytes  # a damaged value may claim to be a text, and be none
            self.opened_id = _number(connection, not_number)
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
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL):
                self._is_broken = (
                    True  # opened anew when next wanted: a file that was read-only stays so on a connection
                )
                self._damages += code in _DAMAGED
            told = kind(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error}{'; is the disk full?' if full else ''}")
            told.errno = errno.ENOSPC if full else None
            raise told from None
        except OSError as error:
            if isinstance(error, StreamUnavailable):
                raise
            raise StreamUnavailable(f"BACKWATCH_STREAM_URL='sqlite:///{self.path}': {error.strerror}") from None

    def release_before_fork(self) -> None:
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


def _number(connection: sqlite3.Connection, not_number: int) -> int:
    """Return the random number that the file bears, given to it where it has none, or this one."""
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
def _locked(path: Path) -> Generator[None]:
    """Hold a file's lock against other processes; without one where the system has none. Never waits for long."""
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
