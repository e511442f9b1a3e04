"""Progress of consumer groups: how far each partition of the stream has been read, and why it does not advance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.text import clean
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_or_replace

MAX_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionProgress:
    """One partition as one consumer group has read it.

    Attributes:
        next_offset: The first offset that the group has not finished.
        end_offset: The offset that the next appended record will get, as far as readers may see it.
        advanced_ns: Wall time at which ``next_offset`` last changed or the lag was last 0.
        updated_ns: Wall time at which this was written.
        member: Host and process id of the member that holds the partition.
        reason: Why the partition does not advance; empty where it does.
    """

    consumer_group: str
    topic: str
    partition_id: int
    next_offset: int
    end_offset: int
    advanced_ns: int
    updated_ns: int
    member: str
    reason: str = ""

    @property
    def lag(self) -> int:
        """Records that are in the partition and not yet finished; control records of the log included."""
        return max(0, self.end_offset - self.next_offset)


def write_progress(engine: sa.Engine, rows: Sequence[PartitionProgress]) -> None:
    """Write the progress of these partitions, one small transaction.

    Raises:
        StoreUnavailable, StoreFull: The store did not take it.
    """
    if rows:
        cleaned = [{**asdict(row), "reason": clean(row.reason, MAX_REASON_CHARACTERS)} for row in rows]
        with writing(engine) as connection:
            insert_or_replace(connection, tables.partition_progress, cleaned)


def remove_progress(engine: sa.Engine, consumer_group: str, topic: str, *, beyond: int, before_ns: int) -> int:
    """Remove the group's partitions of a higher number than ``beyond`` that were last written before that time.

    Returns:
        Rows removed.

    Raises:
        StoreUnavailable, StoreFull: The store did not take it.
    """
    table = tables.partition_progress
    these = (table.c.consumer_group == consumer_group) & (table.c.topic == topic) & (table.c.partition_id > beyond)
    with writing(engine) as connection:
        return connection.execute(sa.delete(table).where(these, table.c.updated_ns < before_ns)).rowcount


def read_progress(connection: sa.Connection) -> list[PartitionProgress]:
    """Return the progress of every group, topic and partition, in that order."""
    table = tables.partition_progress
    order = (table.c.consumer_group, table.c.topic, table.c.partition_id)
    return [PartitionProgress(**row) for row in connection.execute(sa.select(table).order_by(*order)).mappings()]
