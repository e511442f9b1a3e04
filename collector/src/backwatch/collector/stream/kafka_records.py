"""Conversion of fetched Kafka records, with the bounds and checks of their values and times."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.stream import Record

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""A longer value is cut to this length. It then cannot be decoded, and is quarantined."""
CREATE_TIME: Final = 0

logger = logging.getLogger("backwatch")


@dataclass(frozen=True, slots=True)
class SkippedRecords:
    """Records that could not be decoded; stands in place of a fetched record.

    Attributes:
        offset: The first of them.
        next_offset: The next offset after the last of them.
        timestamp: The batch's largest timestamp, milliseconds.
        value: The beginning of their bytes.
    """

    partition: int
    offset: int
    next_offset: int
    timestamp: int
    reason: str
    value: bytes


_create_time_topics: set[str] = set()
"""Topics for which this process has logged the warning."""


def _warn_of_create_time(topic: str) -> None:
    if topic not in _create_time_topics:
        _create_time_topics.add(topic)
        logger.warning(
            "backwatch: topic %s has message.timestamp.type=CreateTime: its times are what producers write, and a"
            " wrong one makes calls late; set it to LogAppendTime", topic,
        )  # fmt: skip


def to_record(raw: Any) -> Record:
    """Convert a fetched record with its first append time, or a :class:`SkippedRecords`."""
    if isinstance(raw, SkippedRecords):
        at_ns = raw.timestamp * 1_000_000
        skipped = raw.next_offset - raw.offset
        return Record(raw.partition, raw.offset, at_ns, raw.value, skipped=skipped, reason=raw.reason)
    appended_ns = raw.timestamp * 1_000_000
    if raw.timestamp_type == CREATE_TIME:
        # The topic keeps its producers' timestamps. A time in the future would make all later calls late.
        _warn_of_create_time(raw.topic)
        appended_ns = min(appended_ns, time.time_ns())
    backfill = False
    for name, value in raw.headers:
        if name == names.HEADER_BACKFILL:
            backfill = value == b"1"
        elif name == names.HEADER_APPENDED and value is not None and value.isdigit() and len(value) <= 19:
            # The first append cannot be later than this one.
            appended_ns = min(appended_ns, int(value))
    value = (raw.value or b"")[:MAX_RECORD_BYTES]
    return Record(raw.partition, raw.offset, appended_ns, value, raw.key, backfill, leader_epoch=raw.leader_epoch)
