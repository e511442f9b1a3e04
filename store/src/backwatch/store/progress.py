"""Progress of consumer groups: how far each partition of the stream has been read, and why it does not advance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.text import clean
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_or_replace

MAX_REASON_CHARACTERS = 500
ALIVE_NS = 12 * 10**9
"""A member writes every few seconds: one that has not for so long is not alive."""
Place = tuple[str, str, int]
"""Consumer group, topic and partition."""


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
    def place(self) -> Place:
        """Whose progress it is: the key of the row."""
        return self.consumer_group, self.topic, self.partition_id

    @property
    def lag(self) -> int:
        """Records that are in the partition and not yet finished; control records of the log included."""
        return max(0, self.end_offset - self.next_offset)


def write_progress(
    engine: sa.Engine, rows: Sequence[PartitionProgress], owners: Mapping[Place, str] | None = None
) -> list[PartitionProgress]:
    """Write the progress of these partitions, one small transaction.

    Args:
        engine: The store.
        rows: The progress.
        owners: Under which name this member loaded the shard of a partition. Where another member has loaded it since,
            and writes its progress, this member's row is left out: it was stopped, and does not know yet.

    Returns:
        The rows that were written.

    Raises:
        StoreUnavailable, StoreFull: The store did not take it.
    """
    if not rows:
        return []
    with writing(engine) as connection:
        taken = _taken_over(connection, rows, owners) if owners else set[Place]()
        mine = [row for row in rows if row.place not in taken]
        cleaned = [{**asdict(row), "reason": clean(row.reason, MAX_REASON_CHARACTERS)} for row in mine]
        if cleaned:
            insert_or_replace(connection, tables.partition_progress, cleaned)
    return mine


def _taken_over(
    connection: sa.Connection, rows: Sequence[PartitionProgress], owners: Mapping[Place, str]
) -> set[Place]:
    """Return the places whose shard another member has loaded since, and whose progress a live one writes."""
    table = tables.shard
    wanted = {place: owner for place, owner in owners.items() if owner}
    query = sa.select(table.c.id, table.c.owner).where(table.c.id.in_({partition for _, _, partition in wanted}))
    loaded_by = {row.id: row.owner for row in connection.execute(query)}
    lost = {place for place, owner in wanted.items() if loaded_by.get(place[2], owner) != owner}
    if not lost:
        return set()
    stored = {row.place: row for row in read_progress(connection)}
    return {
        row.place
        for row in rows
        if row.place in lost
        and (other := stored.get(row.place)) is not None
        and other.member != row.member
        and row.updated_ns - other.updated_ns < ALIVE_NS
    }


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
