"""The embedded stream: one SQLite file in WAL mode, for one machine. One partition, numbered 0.

Records below every group's progress are pruned, and beyond ``RETENTION_BYTES`` the oldest ones, so that an app whose
stream has no reader does not fill its disk. A reader sees that as a gap.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from backwatch.collector.runtime.forks import hold_forks, release_before_forks
from backwatch.collector.stream import Consumer, Message, Publisher, Record, Relay, StreamUnavailable, find_missing
from backwatch.collector.stream.sqlite_file import BUSY_TIMEOUT_S, StreamBusy, StreamFile

RETENTION_BYTES: Final = 2_000_000_000
"""Bytes of values in one topic, beyond which the oldest tenth is dropped."""
POLL_RECORDS: Final = 1000
POLL_BYTES: Final = 16_000_000
POLL_PAUSE_S: Final = 0.05
BUSY_PAUSE_S: Final = 0.005
PARTITION: Final = 0
T = TypeVar("T")


def create_file(url: str) -> None:
    """Create the file and its tables if they are missing."""
    StreamFile(url).close()


def _append(connection: sqlite3.Connection, topic: str, messages: Sequence[Message]) -> None:
    row = connection.execute("SELECT next_offset, bytes FROM topic WHERE name = ?", (topic,)).fetchone()
    offset, held = row or (0, 0)
    now_ns = time.time_ns()
    connection.executemany(
        "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)",
        [
            (topic, offset + at, message.key, message.value, message.appended_ns or now_ns, message.backfill)
            for at, message in enumerate(messages)
        ],
    )
    held += sum(len(message.value) for message in messages)
    connection.execute("INSERT OR REPLACE INTO topic VALUES (?, ?, ?)", (topic, offset + len(messages), held))
    if held > RETENTION_BYTES:
        first = connection.execute("SELECT min(offset) FROM record WHERE topic = ?", (topic,)).fetchone()[0]
        _drop_below(connection, topic, first + max(1, (offset + len(messages) - first) // 10))


def _drop_below(connection: sqlite3.Connection, topic: str, offset: int) -> None:
    where = "FROM record WHERE topic = ? AND offset < ?"
    gone = connection.execute(f"SELECT coalesce(sum(length(value)), 0) {where}", (topic, offset)).fetchone()[0]
    connection.execute(f"DELETE {where}", (topic, offset))
    connection.execute("UPDATE topic SET bytes = bytes - ? WHERE name = ?", (gone, topic))


def _progress(connection: sqlite3.Connection, topic: str, group: str) -> int:
    row = connection.execute('SELECT offset FROM progress WHERE topic = ? AND "group" = ?', (topic, group)).fetchone()
    return row[0] if row else 0


def _read(connection: sqlite3.Connection, topic: str, offset: int) -> list[Record]:
    """Return records from ``offset`` on: at least one if there is any, then up to ``POLL_BYTES``."""
    records: list[Record] = []
    total = 0
    rows = connection.execute(
        "SELECT offset, appended_ns, value, key, backfill FROM record WHERE topic = ? AND offset >= ? ORDER BY offset"
        " LIMIT ?", (topic, offset, POLL_RECORDS),
    )  # fmt: skip
    now_ns = time.time_ns()
    for at, appended_ns, value, key, backfill in rows:
        if not (isinstance(appended_ns, int) and isinstance(value, bytes) and isinstance(key, bytes | None)):
            records.append(Record(PARTITION, at, now_ns, b"", skipped=1, reason="the stream's file is damaged"))
            continue
        # No append time is in the future; a damaged number could be, and would make all later calls late.
        records.append(Record(PARTITION, at, min(appended_ns, now_ns), value, key, bool(backfill)))
        total += len(value)
        if total >= POLL_BYTES:
            break
    rows.close()
    return records


def _bounds(file: StreamFile, topic: str) -> tuple[int, int]:
    with file.translate_errors():
        row = (
            file.connection()
            .execute(
                "SELECT (SELECT min(offset) FROM record WHERE topic = name), next_offset FROM topic WHERE name = ?",
                (topic,),
            )
            .fetchone()
        )
    if row is None:
        return 0, 0
    first, upcoming = row
    return (upcoming if first is None else first), upcoming


def _poll(file: StreamFile, topic: str, offset: int, timeout_s: float) -> list[Record]:
    deadline = time.monotonic() + timeout_s
    while True:
        with file.translate_errors():
            records = _read(file.connection(), topic, offset)
        left = deadline - time.monotonic()
        if records or left <= 0:
            return records
        time.sleep(min(POLL_PAUSE_S, left))


class SqlitePublisher(Publisher):
    """Appends to the file, inside an app that may fork: a child could find SQLite's locks held for ever."""

    def __init__(self, url: str) -> None:
        self._file = _never_cut(lambda: release_before_forks(StreamFile(url, busy_timeout_s=0)), BUSY_TIMEOUT_S)

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        """Append all in one transaction; see :class:`~backwatch.collector.stream.Publisher`."""

        def append() -> None:
            with self._file.transaction() as connection:
                _append(connection, topic, messages)

        _never_cut(append, min(timeout_s, BUSY_TIMEOUT_S))

    def close(self, timeout_s: float) -> None:  # noqa: ARG002  closing a file does not wait
        """Close the file."""
        with hold_forks():
            self._file.close()


def _never_cut(do: Callable[[], T], timeout_s: float) -> T:
    """Run ``do`` while forks wait. They do not wait while it waits for another writer."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with hold_forks():
                return do()
        except StreamBusy:
            if time.monotonic() >= deadline:
                raise
        time.sleep(BUSY_PAUSE_S)


class SqliteConsumer(Consumer):
    """Reads the file. Any number of members may read; the store's fence chooses one owner of a shard."""

    def __init__(self, url: str, topic: str, group: str) -> None:
        self._file = StreamFile(url)
        self._topic = topic
        self._group = group
        with self._file.translate_errors():
            self._next = _progress(self._file.connection(), topic, group)
            self._stream_id = self._file.stream_id()

    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records, or none after ``timeout_s``; none of a recreated file before :meth:`seek`."""
        if not self._is_same():
            time.sleep(min(POLL_PAUSE_S, timeout_s))
            return []
        records = _poll(self._file, self._topic, self._next, timeout_s)
        if self._file.opened_id != self._stream_id:
            return []  # recreated during the wait: these are not its first records
        if records:
            self._next = records[-1].offset + 1
        return records

    def assignment(self) -> frozenset[int]:
        """Return the only partition."""
        return frozenset({PARTITION})

    def seek(self, partition: int, offset: int) -> None:  # noqa: ARG002  there is one
        """Continue from ``offset``. An offset behind the end belongs to the previous file."""
        self._next = offset
        with suppress(StreamUnavailable):
            if not self._is_same() and offset <= _bounds(self._file, self._topic)[1]:
                self._stream_id = self._file.stream_id()

    def resume(self, partition: int, offset: int, leader_epoch: int, topic_id: str) -> None:  # noqa: ARG002  it has no epochs
        """Continue from ``offset``. A recreated file of any length is not read before an offset of its own is given."""
        if not topic_id:
            self.seek(partition, offset)
            return
        self._next = offset
        with suppress(StreamUnavailable):
            if topic_id == self.topic_id():
                self._stream_id = self._file.opened_id

    def topic_id(self) -> str:
        """Return an id that distinguishes the file from one that was recreated under its name."""
        with self._file.translate_errors():
            return str(self._file.stream_id())

    def _is_same(self) -> bool:
        with self._file.translate_errors():
            return self._file.stream_id() == self._stream_id

    def bounds(self, partition: int) -> tuple[int, int]:  # noqa: ARG002  there is one
        """Return the first available offset and the next one to be assigned."""
        return _bounds(self._file, self._topic)

    def read_to(self, partition: int) -> int:  # noqa: ARG002  there is one
        """Return the next offset to read."""
        return self._next

    def commit(self, partition: int, offset: int) -> None:  # noqa: ARG002  there is one
        """Store the progress and drop records below every group's; not in a recreated file that was not read yet."""
        with self._file.transaction() as connection:
            if self._file.opened_id != self._stream_id:
                return
            connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?)", (self._topic, self._group, offset))
            lowest = connection.execute("SELECT min(offset) FROM progress WHERE topic = ?", (self._topic,)).fetchone()
            _drop_below(connection, self._topic, lowest[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SqliteRelay(Relay):
    """Moves records from one topic to another in the same file: outputs and progress are one transaction."""

    def __init__(self, url: str, source: str, target: str, group: str) -> None:
        self._file = StreamFile(url)
        self._source = source
        self._target = target
        self._group = group
        with self._file.translate_errors():
            self._committed = self._next = _progress(self._file.connection(), source, group)
            self._stream_id = self._file.stream_id()
        self._is_cut = False
        """True if another file was read before, until the first record of this one is read."""
        self._is_cut_unmoved = False
        """True if that was reported with records that are not relayed yet."""

    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records of the source topic."""
        with self._file.translate_errors():
            if self._file.stream_id() != self._stream_id:
                self._go_to_progress()
        records = _poll(self._file, self._source, self._next, timeout_s)
        if self._file.opened_id != self._stream_id:
            return []  # the next call starts at its beginning
        if records:
            lost = [] if records[0].offset == self._next else find_missing(records[0], self._next, records[0].offset)
            if self._is_cut:
                lost = find_missing(records[0], records[0].offset + 1, records[0].offset)
                self._is_cut, self._is_cut_unmoved = False, True
            self._next = records[-1].offset + 1
            return lost + records
        return records

    def positions(self) -> dict[int, tuple[int, int]]:
        """Return the first offset that was not relayed, and the next one to be assigned, of the only partition."""
        return {PARTITION: (self._committed, _bounds(self._file, self._source)[1])}

    def ends(self) -> dict[int, int]:
        """Return the next offset to be assigned."""
        return {PARTITION: _bounds(self._file, self._source)[1]}

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Append ``outputs`` and commit ``consumed``.

        Raises:
            StreamUnavailable: Nothing was done: the file cannot be written, or another relay of this group has
                advanced.
        """
        if not consumed:
            return
        past = max(record.next_offset for record in consumed)
        try:
            with self._file.transaction() as connection:
                if self._file.opened_id != self._stream_id:
                    raise StreamUnavailable("the embedded stream was made anew, and what was read of it is gone")
                if _progress(connection, self._source, self._group) != self._committed:
                    raise StreamUnavailable(f"another relay of group {self._group!r} has moved on")
                if outputs:
                    _append(connection, self._target, outputs)
                connection.execute(
                    "INSERT OR REPLACE INTO progress VALUES (?, ?, ?)", (self._source, self._group, past)
                )
                lowest = connection.execute("SELECT min(offset) FROM progress WHERE topic = ?", (self._source,))
                _drop_below(connection, self._source, lowest.fetchone()[0])
        except StreamUnavailable:
            self._rewind()
            raise
        self._committed, self._is_cut_unmoved = past, False

    def _rewind(self) -> None:
        with suppress(StreamUnavailable), self._file.translate_errors():
            self._go_to_progress()

    def _go_to_progress(self) -> None:
        connection = self._file.connection()
        is_other = self._file.opened_id != self._stream_id and self._next > 0
        self._is_cut, self._is_cut_unmoved = self._is_cut or self._is_cut_unmoved or is_other, False
        self._committed = self._next = _progress(connection, self._source, self._group)
        self._stream_id = self._file.opened_id

    def close(self) -> None:
        """Close the file."""
        self._file.close()
