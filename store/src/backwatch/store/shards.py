"""State of a shard: loaded by its owner, and committed with everything that follows from it in one transaction.

The fence comes first and decides: an owner without the number of the last commit changes nothing. After it come
the delta (or a snapshot that replaces the older deltas), alerts and the events about them, resources, rollups,
quarantine and counters.
Rows are written in the order of their keys, so that two shards never wait for each
other in a circle.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from backwatch.store import alerts, processes, quarantine, tables
from backwatch.store.commit import Commit, Fenced, ResourceActivity, Rollup
from backwatch.store.text import amount, as_json, clean, whole
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert, insert_missing, insert_or_add, insert_or_replace, total


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """What the owner of a shard goes on from.

    Attributes:
        seq: Number of the last commit: the fence for the next one.
        next_offset: First stream offset that is not covered.
        snapshot: The whole state at some commit; ``None`` before the first.
        deltas: Every change since, oldest first. The first may repeat what the snapshot holds.
        topic_id, leader_epoch: As in :class:`~backwatch.store.commit.Commit`.
    """

    seq: int
    next_offset: int
    watermark_ns: int
    entry_id: int
    snapshot: bytes | None
    deltas: list[bytes]
    topic_id: str = ""
    leader_epoch: int = -1


def load(connection: sa.Connection, shard: int, owner: str = "") -> ShardState:
    """The shard's state; a shard that was never seen starts at commit 0. Needs a writing connection.

    Args:
        owner: Random digits by which the store knows who loaded the shard last; empty: only to look at it.
    """
    table = tables.shard
    _make_row(connection, shard)
    if owner:
        connection.execute(sa.update(table).where(table.c.id == shard).values(owner=owner))
    # Locked, so that the row, the snapshot and the deltas are of one commit.
    row = connection.execute(sa.select(table).where(table.c.id == shard).with_for_update()).one()
    saved = connection.execute(
        sa.select(tables.shard_snapshot).where(tables.shard_snapshot.c.shard == shard)
    ).one_or_none()
    delta = tables.shard_delta
    after = saved.seq if saved is not None else 0
    blobs = connection.scalars(
        sa.select(delta.c.blob).where(delta.c.shard == shard, delta.c.seq >= after).order_by(delta.c.seq)
    )
    return ShardState(
        seq=row.seq, next_offset=row.next_offset, watermark_ns=row.watermark_ns, entry_id=row.entry_id,
        snapshot=None if saved is None else bytes(saved.blob), deltas=[bytes(blob) for blob in blobs],
        topic_id=row.topic_id if row.log_seq == row.seq else "",
        leader_epoch=row.leader_epoch if row.log_seq == row.seq else -1,
    )  # fmt: skip


def commit(engine: sa.Engine, changes: Commit, *, now_ns: int) -> None:
    """Writes the commit, whole or not at all.

    Args:
        engine: The store.
        changes: What became true since the last commit.
        now_ns: Wall time, for people: when the shard last moved. Nothing is decided by it.

    Raises:
        Fenced: Another owner has committed for this shard.
        StoreUnavailable, StoreFull: The database is away or its disk is full; the commit can be tried again as it is.
    """
    with writing(engine) as connection:
        _fence(connection, changes, now_ns)
        _state(connection, changes)
        alerts.apply(connection, changes.rounds, now_ns)
        _resources(connection, changes.seen)
        processes.write(connection, changes.processes, now_ns)
        _rollups(connection, changes.rollups)
        quarantine.keep(connection, changes.quarantined, now_ns=now_ns)
        _count(connection, changes)


def split(engine: sa.Engine, parents: Sequence[Commit], children: Sequence[Commit], *, now_ns: int) -> None:
    """Write the states of new shards, and what their parents keep, in one transaction.

    Args:
        engine: The store.
        parents: One commit each, with a snapshot; the fence of each decides, as in :func:`commit`.
        children: The new shards: ``seq`` 0, and a snapshot. A shard of that number must not have committed yet.
        now_ns: Wall time, for people.

    Raises:
        Fenced: A detector has committed for a parent since its state was read, or a child has an owner already.
        StoreUnavailable, StoreFull: The database is away or its disk is full; nothing was written.
    """
    with writing(engine) as connection:
        for child in children:
            _make_row(connection, child.shard)
        for half in sorted((*parents, *children), key=lambda half: half.shard):
            _fence(connection, half, now_ns)
            _state(connection, half)


def _make_row(connection: sa.Connection, shard: int) -> None:
    empty = {"id": shard, "seq": 0, "next_offset": 0, "watermark_ns": 0, "entry_id": 0, "updated_ns": 0}
    insert_missing(connection, tables.shard, [empty])


def _fence(connection: sa.Connection, changes: Commit, now_ns: int) -> None:
    table = tables.shard
    held = (table.c.id == changes.shard) & (table.c.seq == changes.seq)
    if changes.base is not None:
        offset, watermark_ns, entry_id = changes.base
        held &= (table.c.next_offset == offset) & (table.c.watermark_ns == whole(watermark_ns))
        held &= table.c.entry_id == entry_id
    moved = connection.execute(
        sa.update(table).where(held).values(
            seq=changes.seq + 1, next_offset=changes.next_offset, watermark_ns=whole(changes.watermark_ns),
            entry_id=changes.entry_id, updated_ns=now_ns, topic_id=changes.topic_id, leader_epoch=changes.leader_epoch,
            log_seq=changes.seq + 1,
        )
    )  # fmt: skip
    if moved.rowcount != 1:
        raise Fenced(f"shard {changes.shard} is no longer at commit {changes.seq}: another owner has moved on")


def _state(connection: sa.Connection, changes: Commit) -> None:
    delta = tables.shard_delta
    if changes.snapshot is not None:
        connection.execute(sa.delete(delta).where(delta.c.shard == changes.shard))
        row = {"shard": changes.shard, "seq": changes.seq + 1, "blob": changes.snapshot}
        insert_or_replace(connection, tables.shard_snapshot, [row])
    if changes.delta:
        connection.execute(sa.insert(delta), [{"shard": changes.shard, "seq": changes.seq + 1, "blob": changes.delta}])


def _resources(connection: sa.Connection, seen: Sequence[ResourceActivity]) -> None:
    table = tables.resource
    rows = [
        {
            "id": resource.resource_id, "app": clean(resource.app), "system": clean(resource.system),
            "endpoint": clean(resource.endpoint),
            "namespace": clean(resource.namespace), "first_ns": whole(resource.first_ns),
            "last_ns": whole(resource.last_ns),
            "calls": amount(resource.calls), "errors": amount(resource.errors), "facts": as_json(resource.facts),
        }
        for resource in sorted(seen, key=lambda resource: (resource.resource_id, resource.last_ns))
    ]  # fmt: skip
    if not rows:
        return
    statement = insert(connection, table)
    new = statement.excluded
    newer = new.last_ns >= table.c.last_ns
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={
                "first_ns": sa.case((new.first_ns < table.c.first_ns, new.first_ns), else_=table.c.first_ns),
                "last_ns": sa.case((newer, new.last_ns), else_=table.c.last_ns),
                "facts": sa.case((newer & (new.facts != "{}"), new.facts), else_=table.c.facts),
                "calls": total(table.c.calls, new.calls),
                "errors": total(table.c.errors, new.errors),
            },
        ),
        rows,
    )


def _rollups(connection: sa.Connection, rollups: Sequence[Rollup]) -> None:
    rows = [
        {name: amount(value) if isinstance(value, int) else value for name, value in asdict(rollup).items()}
        for rollup in sorted(rollups, key=lambda rollup: (rollup.resource_id, rollup.end_ns))
    ]
    sums = [column.name for column in tables.rollup.columns if not column.primary_key]
    insert_or_add(connection, tables.rollup, rows, *sums)


def _count(connection: sa.Connection, changes: Commit) -> None:
    rows = [
        {"shard": changes.shard, "kind": kind, "name": clean(name, 200), "value": amount(value)}
        for kind, values in (("counter", changes.counters), ("loss", changes.losses))
        for name, value in sorted(values.items())
        if value
    ]
    insert_or_add(connection, tables.counter, rows, "value")
