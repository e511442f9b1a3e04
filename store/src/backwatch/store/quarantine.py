"""Records that cannot be read or judged: kept with the reason, bounded in number and in bytes.

A writer to the stream may fill it with records that cannot be read, of 16 MB each. A store whose disk is full
stops every detector, so each kept value is cut, and beyond a number of rows records are counted as lost and not kept.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.commit import QuarantinedRecord
from backwatch.store.text import clean, whole
from backwatch.store.upsert import insert_missing

CALLS_TOPIC: Final = "backwatch_calls"
MAX_VALUE_BYTES: Final = 65_536
"""Bytes kept of one record."""
MAX_RECORDS: Final = 4_096
"""Records kept: the first ones, 256 MB in all. Pruning makes room for those of the next day."""
MAX_SETTLED_RECORDS: Final = 3_072
"""Records of more than a day that stay, less those of the last day."""
MAX_REASON_CHARACTERS: Final = 500
SETTLED_NS: Final = 86_400_000_000_000


def keep(
    connection: sa.Connection, records: Sequence[QuarantinedRecord], *, now_ns: int, topic: str = CALLS_TOPIC
) -> None:
    """Keep records that cannot be read, as far as there is room; the same record twice is kept once."""
    if not records:
        return
    room = max(0, MAX_RECORDS - count_records(connection))
    rows = [
        {
            "topic": topic, "partition_id": record.partition, "record_offset": record.offset,
            "reason": _reason(record), "value": record.value[:MAX_VALUE_BYTES],
            "appended_ns": whole(record.appended_ns), "kept_ns": now_ns,
        }
        for record in sorted(records, key=lambda record: (record.partition, record.offset))[:room]
    ]  # fmt: skip
    insert_missing(connection, tables.quarantine, rows)


def _reason(record: QuarantinedRecord) -> str:
    if len(record.value) <= MAX_VALUE_BYTES:
        return clean(record.reason, MAX_REASON_CHARACTERS)
    cut = f" (the first {MAX_VALUE_BYTES:,} of {len(record.value):,} bytes are kept)"
    return clean(record.reason, MAX_REASON_CHARACTERS - len(cut)) + cut


def count_records(connection: sa.Connection) -> int:
    """Return how many records are kept."""
    return connection.scalar(sa.select(sa.func.count()).select_from(tables.quarantine)) or 0


def find_excess(connection: sa.Connection, now_ns: int, limit: int) -> list[Sequence[Any]]:
    """Return the keys of the oldest records, of more than a day, that make room for new ones."""
    excess = count_records(connection) - MAX_SETTLED_RECORDS
    if excess <= 0:
        return []
    table = tables.quarantine
    query = sa.select(*table.primary_key.columns).where(table.c.kept_ns < now_ns - SETTLED_NS)
    oldest = query.order_by(table.c.kept_ns, *table.primary_key.columns).limit(min(excess, limit))
    return [tuple(row) for row in connection.execute(oldest)]
