"""Adds partitions to a stream whose shards have learned: split each shard by app, then create the partitions.

The order is what makes it safe to be interrupted anywhere: the states of the new shards are written first, in one
transaction, then the partitions are made. A run that finds the new shards there only makes the partitions.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import (
    DetectorSettings,
    SettingError,
    StreamSettings,
    default_stream_url,
    without_secrets,
)
from backwatch.collector.stream.kafka_partitions import add_partitions, choose_partition, count_partitions
from backwatch.detector.columns.key_texts import is_verbatim, part
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.splitting import keep_apps, release_apps
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.progress import ProgressBoard
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import shards, tables
from backwatch.store.commit import Commit
from backwatch.store.progress import PartitionProgress, read_progress
from backwatch.store.transactions import reading, writing

ALIVE_NS = 12 * 10**9
"""A group of which no progress is written for so long has no member that is alive."""
LOOK_EVERY_S = 1.0
TOPICS = (names.TOPIC_CALLS, names.TOPIC_SPANS)


class NotDrained(RuntimeError):
    """Records were still unread when the time was up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a repartition.

    Attributes:
        before: Partitions of the calls' topic today.
        after: Partitions that it shall have.
        topics: Topic to its partitions today.
    """

    before: int
    after: int
    topics: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Unread:
    """The records that a drain has yet to read.

    Attributes:
        records: In the partitions that were looked at.
        unseen: Partitions that were not looked at yet.
        waits: A partition that does not advance, and why; empty: none.
    """

    records: int
    unseen: tuple[int, ...]
    waits: str = ""

    def __str__(self) -> str:
        """Return one line for the operator."""
        waits = f" ({self.waits})" if self.waits else ""
        if not self.unseen:
            return f"{self.records} records are unread{waits}"
        listed = ", ".join(map(str, self.unseen[:20])) + (" and others" if len(self.unseen) > 20 else "")
        return f"waiting to be assigned partition(s) {listed} of {names.TOPIC_CALLS}{waits}"


NOTHING = Unread(0, ())


def plan(stream: StreamSettings, after: int) -> Plan:
    """Look at the stream and check the number that is wanted.

    Raises:
        SettingError: The stream is not Kafka, or the number is no larger multiple of today's.
        StreamUnavailable: No broker answers, or the topics are missing.
    """
    if not stream.url.startswith("kafka://"):
        shown = without_secrets(stream.url or default_stream_url())
        raise SettingError(f"BACKWATCH_STREAM_URL={shown!r}: only a kafka:// stream has partitions to add")
    topics = count_partitions(stream, TOPICS)
    before = topics[names.TOPIC_CALLS]
    if after <= before or after % before:
        raise SettingError(f"COUNT={after}: must be a multiple of today's {before} partitions, and larger")
    return Plan(before=before, after=after, topics=topics)


def live_member(store: sa.Engine, group: str) -> PartitionProgress | None:
    """Return a partition that a detector of this group holds; ``None`` if none is alive.

    A live member writes its progress every few seconds, one that has just started after a few. So this looks for a row
    that is written meanwhile; it takes ``ALIVE_NS`` where there is none.
    """
    before = {row.partition_id: row for row in _rows(store, group)}
    deadline_s = time.monotonic() + ALIVE_NS / 1e9
    while time.monotonic() < deadline_s:
        time.sleep(LOOK_EVERY_S / 2)
        for row in _rows(store, group):
            known = before.get(row.partition_id)
            if known is None or row.updated_ns > known.updated_ns:
                return row
    return None


def _rows(store: sa.Engine, group: str) -> list[PartitionProgress]:
    with reading(store) as connection:
        return [
            row for row in read_progress(connection) if (row.consumer_group, row.topic) == (group, names.TOPIC_CALLS)
        ]


def drain(
    stream: StreamSettings,
    store: sa.Engine,
    settings: DetectorSettings,
    wanted: Plan,
    timeout_s: float,
    report: Callable[[Unread], None],
) -> None:
    """Judge all records that are unread, as the only detector, and commit.

    Args:
        stream: Where the records are.
        store: Where the shards are.
        settings: The detector's.
        wanted: The plan.
        timeout_s: How long it may take.
        report: Called every second.

    Raises:
        NotDrained: The time was up.
    """
    begun_ns = time.time_ns()
    stop = threading.Event()
    failed: list[BaseException] = []
    service = DetectorService(stream, store, settings)
    board = ProgressBoard(store, [service.progress], None)

    def run() -> None:
        try:
            service.run(stop)
        except BaseException as error:  # noqa: BLE001  raised again below, on the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, name="backwatch-drain")
    thread.start()
    board.start()
    deadline = time.monotonic() + timeout_s
    try:
        while thread.is_alive() and (left := _find_unread(store, settings.group, wanted.before, begun_ns)) != NOTHING:
            if time.monotonic() > deadline:
                raise NotDrained(f"--timeout={timeout_s:g}: {left}")
            report(left)
            time.sleep(LOOK_EVERY_S)
    finally:
        stop.set()
        thread.join()
        board.stop()
    if failed:
        raise failed[0]


def _find_unread(store: sa.Engine, group: str, count: int, since_ns: int) -> Unread:
    rows = [row for row in _rows(store, group) if row.updated_ns >= since_ns]
    seen = {row.partition_id for row in rows}
    waits = next((f"partition {row.partition_id}: {row.reason}" for row in rows if row.reason), "")
    return Unread(
        sum(row.lag for row in rows), tuple(partition for partition in range(count) if partition not in seen), waits
    )


def split(store: sa.Engine, engine: Engine, wanted: Plan, now_ns: int) -> int:
    """Write the states of the new shards; returns how many apps moved.

    Raises:
        SettingError: An unfinished run to another number has left its shards.
        Fenced: A detector has committed meanwhile; nothing was written.
    """
    fresh = range(wanted.before, wanted.after)
    with reading(store) as connection:
        table = tables.shard
        query = sa.select(table.c.id, table.c.next_offset).where(table.c.id >= wanted.before, table.c.seq > 0)
        there = {row.id: row.next_offset for row in connection.execute(query)}
    if any(there.values()):
        raise SettingError(
            f"COUNT={wanted.after}: the store has the shards of an earlier, larger stream: {sorted(there)}"
        )
    if there.keys() == set(fresh):
        return 0
    if there:
        raise SettingError(
            f"COUNT={wanted.after}: shards of an unfinished run are there, to {max(there) + 1} partitions"
        )
    parents: list[Commit] = []
    children: list[Commit] = []
    moved: set[str] = set()
    for number in range(wanted.before):
        with writing(store) as connection:
            found = shards.load(connection, number)
        blobs = ([found.snapshot] if found.snapshot else []) + found.deltas
        if not blobs:
            continue
        parent = _restore_shard(engine, blobs)
        apps_of = _given_names(_alerts_by_app(store), parent)
        left: set[bytes] = set()
        for child in range(number + wanted.before, wanted.after, wanted.before):
            shard = _restore_shard(engine, blobs)
            alerts = {alert for alert, app in apps_of.items() if choose_partition(app, wanted.after) == child}
            keep_apps(shard, lambda app, child=child: choose_partition(app, wanted.after) == child, alerts)
            left |= alerts
            apps = {parts[0] for slot, parts in shard.resources.items() if shard.spaces["resource"].keys[slot]}
            moved |= {app for app in apps if is_verbatim(app)}
            children.append(_commit(child, 0, 0, found, shard))
        release_apps(parent, lambda app, number=number: choose_partition(app, wanted.after) == number, left)
        parents.append(_commit(number, found.seq, found.next_offset, found, parent))
    known = {known_child.shard for known_child in children}
    children += [_empty(number, engine) for number in fresh if number not in known]
    shards.split(store, parents, children, now_ns=now_ns)
    return len(moved)


def _restore_shard(engine: Engine, blobs: "list[bytes]") -> Shard:
    shard = engine.new_shard()
    shard.apply(blobs)
    return shard


def _alerts_by_app(store: sa.Engine) -> dict[bytes, str]:
    """Alerts whose finding may be open: id to app."""
    table = tables.alert
    with reading(store) as connection:
        rows = connection.execute(sa.select(table.c.id, table.c.app).where(table.c.raised)).all()
    return {bytes.fromhex(row.id): row.app for row in rows}


def _given_names(apps_of: Mapping[bytes, str], shard: Shard) -> dict[bytes, str]:
    """Return the apps of alerts by the names by which producers choose a partition, if known.

    Alerts about processes name an app as keys do; heartbeats brought its name as it was given. What is open of an app
    whose name is not known stays with the parent, and clears there.
    """
    given = {part(app): app for app in shard.processes.apps}
    found = {alert: given.get(app, app) for alert, app in apps_of.items() if app}
    return {alert: app for alert, app in found.items() if app in given.values() or is_verbatim(app)}


def _commit(number: int, seq: int, next_offset: int, parent: shards.ShardState, shard: Shard) -> Commit:
    base = (parent.next_offset, parent.watermark_ns, parent.entry_id) if seq else None
    return Commit(
        shard=number, seq=seq, base=base, next_offset=next_offset, watermark_ns=parent.watermark_ns,
        entry_id=parent.entry_id, delta=b"", snapshot=shard.snapshot(),
        topic_id=parent.topic_id, leader_epoch=parent.leader_epoch if seq else -1,
    )  # fmt: skip


def _empty(number: int, engine: Engine) -> Commit:
    """A new shard whose parent has never committed."""
    snapshot = engine.new_shard().snapshot()
    return Commit(shard=number, seq=0, next_offset=0, watermark_ns=0, entry_id=0, delta=b"", snapshot=snapshot)


def make_partitions(stream: StreamSettings, wanted: Plan) -> None:
    """Add the partitions to both topics."""
    add_partitions(stream, {topic: wanted.after for topic, count in wanted.topics.items() if count < wanted.after})
