"""Reading of fetched Kafka batches, which no batch can stall: undecodable batches are skipped and reported.

In kafka-python a batch that cannot be decoded raises at every poll, at the same offset, for ever: a codec that is not
installed stalled its partition until the group's offset was moved by hand. Here such a batch becomes one
:class:`SkippedRecords`, which stands for its records. Of a batch that is corrupt inside, the records around the damage
are kept. The bytes that one poll unpacks are bounded, too.
"""

import itertools
import struct
from collections.abc import Generator
from typing import Any, Final

from kafka.consumer import fetcher as kafka_fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.util import decode_varint

from backwatch.collector.stream.kafka_codecs import UndecodableBatch, decompress
from backwatch.collector.stream.kafka_records import SkippedRecords

MAX_POLL_BYTES: Final = 64 * 1024 * 1024
"""Unpacked values of one poll, beyond which it ends early; one batch more may be in memory."""
MAX_KEPT_BYTES: Final = 1 << 16
"""Bytes that are kept of a skipped batch."""
MAX_HEADERS: Final = 32
"""Headers read of one record; this project writes two."""
RECORD_BYTES: Final = 200
"""Approximate memory of a record without its value."""
NO_CODEC: Final = 0
CURRENT_MAGIC: Final = 2


class PollBudget:
    """The bytes that the current poll may still unpack."""

    def __init__(self) -> None:
        self.left_bytes = MAX_POLL_BYTES


def limit_batches(consumer: Any) -> None:
    """Make this consumer decode batches with this module; other consumers of the process are unchanged."""
    fetcher = consumer._fetcher
    budget = PollBudget()
    original_append, original_fetched = fetcher._append, fetcher.fetched_records

    class LimitedRecords(BoundedRecords):
        _budget = budget

    def fetched_records(*arguments: Any, **options: Any) -> Any:
        budget.left_bytes = MAX_POLL_BYTES
        return original_fetched(*arguments, **options)

    def append(drained: Any, part: Any, max_records: int, update_offsets: bool) -> int:
        taken: int = original_append(drained, part, max_records, update_offsets)
        return taken if budget.left_bytes > 0 else max_records  # as if all were taken, which ends this poll

    fetcher.PartitionRecords = LimitedRecords
    fetcher.fetched_records = fetched_records
    fetcher._append = append


_PartitionRecords: Any = kafka_fetcher.Fetcher.PartitionRecords


class BoundedRecords(_PartitionRecords):
    """The records of one fetched partition, unpacked batch by batch."""

    _budget: PollBudget

    def take(self, n: int | None = None) -> list[Any]:
        """Return at most ``n`` records, and fewer where they are large."""
        self._maybe_raise_next_inline_exception()
        taken: list[Any] = []
        try:
            for record in itertools.islice(self.record_iterator or (), 0, n):
                taken.append(record)
                self._budget.left_bytes -= len(record.value or b"") + RECORD_BYTES
                if self._budget.left_bytes <= 0:
                    break
        except Exception as error:
            if not taken:
                raise
            self._next_inline_exception = error  # as in the base class: first the records, then the error
        return taken

    def _unpack_records(self, tp: Any, records: Any, _key: Any, _value: Any) -> Generator[Any]:
        """Yield the records of all batches that are neither aborted nor the log's own markers."""
        while True:
            try:
                batch = records.next_batch()
            except (CorruptRecordError, AssertionError, struct.error, ValueError):
                # The next batch's start is unknown: go on offset by offset, until the broker returns a readable batch.
                at = self.next_fetch_offset
                yield self._skip_records(tp, at, at + 1, 0, "a batch's header is corrupt", b"")
                break
            if batch is None:
                break
            if batch.magic == CURRENT_MAGIC:
                self.leader_epoch = batch.leader_epoch
                yield from self._of_batch(tp, batch)
                # Compaction keeps the last offset of a batch even if it removes the record.
                self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)
            else:
                yield from self._of_old_batch(tp, batch)
        self.drain()

    def _is_passed_over(self, batch: Any) -> bool:
        """Return whether the batch belongs to an aborted transaction, or is a marker of the log itself."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)

    def _of_batch(self, tp: Any, batch: Any) -> Generator[Any]:
        head = bytes(memoryview(batch._buffer)[:MAX_KEPT_BYTES])
        try:
            if self.check_crcs and not batch.validate_crc():
                raise UndecodableBatch("the batch fails its checksum")
            try:
                if self._is_passed_over(batch):
                    return
            except (CorruptRecordError, ValueError, IndexError, struct.error):
                raise UndecodableBatch("a marker of the log is corrupt") from None
            _unpack(batch)
        except UndecodableBatch as error:
            first = max(batch.base_offset, self.fetch_offset)
            if batch.next_offset > first:
                yield self._skip_records(tp, first, batch.next_offset, batch.max_timestamp, str(error), head)
            return
        yield from self._of_records(tp, batch)

    def _of_records(self, tp: Any, batch: Any) -> Generator[Any]:
        """Yield each record of an unpacked batch; an unreadable one is skipped by its length."""
        buffer, at = batch._buffer, batch._pos
        upcoming, after = batch.base_offset, batch.next_offset
        for left in range(batch.records_count - 1, -1, -1):
            end = _record_end(buffer, at)
            record = None if end is None else self._read(tp, batch, at, end)
            if record is not None and end is not None and upcoming <= record.offset < after:
                upcoming, at = record.offset + 1, end
                self.next_fetch_offset = upcoming
                yield record
                continue
            stop = upcoming + 1 if left and end is not None else after
            first = max(upcoming, self.fetch_offset)
            if stop > first:
                value = bytes(buffer[at : min(len(buffer) if end is None else end, at + MAX_KEPT_BYTES)])
                yield self._skip_records(tp, first, stop, batch.max_timestamp, "a record is corrupt", value)
            if end is None:
                return
            upcoming, at = max(upcoming, stop), end
        if at < len(buffer) and upcoming < after:
            first, value = max(upcoming, self.fetch_offset), bytes(buffer[at : at + MAX_KEPT_BYTES])
            yield self._skip_records(tp, first, after, batch.max_timestamp, "the batch counts too few records", value)

    def _read(self, tp: Any, batch: Any, at: int, end: int) -> Any:
        """Return the record between the two positions; ``None``: it cannot be read."""
        buffer = batch._buffer
        try:
            _, at = decode_varint(buffer, at)
            ts_delta, at = decode_varint(buffer, at + 1)
            offset_delta, at = decode_varint(buffer, at)
            key, at = _bytes(buffer, at, end)
            value, at = _bytes(buffer, at, end)
            headers: Any = _headers(buffer, at, end)
        except (ValueError, IndexError):
            return None
        appended = batch.timestamp_type == batch.LOG_APPEND_TIME
        timestamp = batch.max_timestamp if appended else batch.first_timestamp + ts_delta
        return kafka_fetcher.ConsumerRecord(
            tp.topic, tp.partition, self.leader_epoch, batch.base_offset + offset_delta, timestamp,
            batch.timestamp_type, key, value, headers, None, -1, -1, -1,
        )  # fmt: skip

    def _of_old_batch(self, tp: Any, batch: Any) -> Generator[Any]:
        """Yield messages of formats 0 and 1 (brokers before 2017); compressed ones would unpack without a bound."""
        offset, reason = batch.base_offset, ""
        if batch.compression_type != NO_CODEC:
            reason = "message format 0 or 1, compressed"
        elif self.check_crcs and not batch.validate_crc():
            reason = "the message fails its checksum"
        if reason:
            yield self._skip_records(tp, offset, offset + 1, 0, reason, bytes(batch._buffer[:MAX_KEPT_BYTES]))
            return
        for record in batch:
            self.next_fetch_offset = record.offset + 1
            yield kafka_fetcher.ConsumerRecord(
                tp.topic, tp.partition, self.leader_epoch, record.offset, record.timestamp or 0,
                record.timestamp_type, record.key, record.value, [], None, -1, -1, -1,
            )  # fmt: skip

    def _skip_records(
        self, tp: Any, first: int, after: int, timestamp: int, reason: str, value: bytes
    ) -> SkippedRecords:
        self.next_fetch_offset = max(self.next_fetch_offset, after)
        return SkippedRecords(tp.partition, first, after, max(0, timestamp), reason, value)


def _bytes(buffer: bytearray, at: int, end: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    if length < 0:
        return None, at
    if at + length > end:
        raise ValueError("longer than its record")
    return bytes(buffer[at : at + length]), at + length


def _headers(buffer: bytearray, at: int, end: int) -> list[tuple[str, bytes | None]]:
    """Return the first headers; a record may have millions of empty ones."""
    count, at = decode_varint(buffer, at)
    if count < 0:
        raise ValueError("a negative number of headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(min(count, MAX_HEADERS)):
        name, at = _bytes(buffer, at, end)
        value, at = _bytes(buffer, at, end)
        headers.append(((name or b"").decode("utf-8", "replace"), value))
    return headers


def _unpack(batch: Any) -> None:
    """Replace the batch's compressed records by the unpacked ones.

    Raises:
        UndecodableBatch: They cannot be unpacked, or not within the bound.
    """
    if batch.compression_type != NO_CODEC:
        batch._buffer = bytearray(decompress(batch.compression_type, bytes(memoryview(batch._buffer)[batch._pos :])))
        batch._pos = 0
    batch._decompressed = True


def _record_end(buffer: bytearray, at: int) -> int | None:
    """Return the end of the record that begins at ``at``, by its own length; ``None``: the length is invalid."""
    try:
        length, begin = decode_varint(buffer, at)
    except (ValueError, IndexError):
        return None
    end = begin + length
    return end if at < end <= len(buffer) else None
