"""The detector as a process: reads its partitions, steps its shards, commits, and never gets ahead of the store."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from sqlalchemy import Engine as StoreEngine
from sqlalchemy.exc import DBAPIError

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, SettingError, StreamSettings
from backwatch.collector.stream import Consumer, Record, StreamUnavailable, ensure_topics, open_consumer
from backwatch.detector.calls.outline import items_of
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.engine.windows import RING
from backwatch.detector.isolation import Isolation, Undone
from backwatch.detector.owned import OwnedShard
from backwatch.detector.rulebook import make_engine, metadata
from backwatch.store import meta, rules_meta
from backwatch.store.commit import Fenced
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.prune import prune

logger = logging.getLogger("backwatch")

ENTRIES_EVERY_S = 0.5
RETRY_S = 1.0
PRUNE_EVERY_S = 3_600.0
PORTION_BYTES = 16 << 20
"""Bytes judged at once."""
PORTION_ITEMS = 1 << 16
"""Calls judged at once, counted by the outer shape of their records; a call costs its bytes and two kilobytes more."""


def engine_for(store: StoreEngine, settings: DetectorSettings) -> Engine:
    """The engine of this installation; its rules' metadata is written into the store, for dashboard and notify.

    Raises:
        SettingError: Calls may be later than windows stay open.
    """
    longest_s = (RING - 2) * WINDOW_NS // 10**9
    if settings.lateness_s > longest_s:
        raise SettingError(f"BACKWATCH_DETECTOR_LATENESS_S={settings.lateness_s:g}: must be at most {longest_s}")
    config = EngineConfig(
        key=meta.installation_key(store), lateness_ns=int(settings.lateness_s * 1e9),
        clear_after_ns=int(settings.clear_after_s * 1e9), judge_loopback=settings.loopback == "judge",
    )  # fmt: skip
    engine = make_engine(config, settings.rules_directory)
    rules_meta.write_rules(store, [metadata(rule) for rule in engine.rules.rules])
    return engine


class Service:
    """Reads ``backwatch_calls`` as a member of a group and keeps the shards of its partitions."""

    def __init__(
        self,
        stream: StreamSettings,
        store: StoreEngine,
        settings: DetectorSettings,
        clock_ns: Callable[[], int] = time.time_ns,
        engine: Engine | None = None,
    ) -> None:
        self._stream = stream
        self._store = store
        self._settings = settings
        self._clock_ns = clock_ns
        self._engine = engine or engine_for(store, settings)
        self._owned: dict[int, OwnedShard] = {}
        self._isolation: dict[int, Isolation] = {}
        self._astray = False
        self._entries_s = 0.0
        self._pruned_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; a stream or store that is away or full is waited for.

        Raises:
            StoreUnavailable, StoreFull: The last commit could not be written; what it covers is read again next time.
        """
        ensure_topics(self._stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
        consumer = open_consumer(self._stream, names.TOPIC_CALLS, self._settings.group)
        try:
            while not stop.is_set():
                try:
                    self.turn(consumer)
                except DBAPIError as error:
                    logger.error("backwatch: the store failed with %s; trying again", type(error).__name__)  # noqa: TRY400  its text may be an attacker's
                    stop.wait(RETRY_S)
                except (StreamUnavailable, StoreUnavailable, StoreFull) as error:
                    logger.error("backwatch: %s; trying again", error.strerror or error)  # noqa: TRY400  it says it all
                    stop.wait(RETRY_S)
            with contextlib.suppress(Undone):  # what it covers is read again next time
                self._commit_all(consumer, everything=True)
            for owner in self._owned.values():
                if owner.trouble is not None:
                    raise owner.trouble
        finally:
            consumer.close()

    def turn(self, consumer: Consumer) -> int:
        """One turn: read, judge, commit what is due; the number of records read."""
        try:
            count = self._turn(consumer)
        except Undone as fault:
            if self._isolation[fault.partition].may_log("undone"):
                logger.error("backwatch: shard %d: a fault (%s): going back to the last commit", fault.partition, fault)  # noqa: TRY400  its text may be an attacker's
            self._owned.pop(fault.partition, None)  # loaded again at the next turn
            return 0
        self._astray = False
        return count

    def _turn(self, consumer: Consumer) -> int:
        self._follow(consumer)
        if self._astray:  # the turn before was broken off: what it read and did not judge is read again
            for partition, owner in self._owned.items():
                consumer.seek(partition, owner.next_offset)
        self._astray = True
        if any(one.stuck for one in self._owned.values()):
            self._commit_all(consumer, everything=False)
            for partition, owner in self._owned.items():
                consumer.seek(partition, owner.next_offset)  # portions that were not taken are read again
            time.sleep(0.2)
            return 0
        self._take_entries()  # before the calls: what people said by now holds for them
        records = consumer.poll(0.2)
        for partition, mine in _by_partition(records).items():
            for some in _portions(mine, partial(self._most, partition)):
                owner = self._owned.get(partition)
                if owner is None or owner.stuck:
                    break  # what is left is read again once the shard is owned, or its commit written
                owner.take(some, consumer.bounds(partition)[0] if some[0].offset > owner.next_offset else 0)
                self._commit(consumer, partition, owner)
        self._prune()
        if not records:
            self._tick(consumer)
        self._commit_all(consumer, everything=False)
        return len(records)

    def _most(self, partition: int) -> int:
        """Records that are judged at once: fewer while one that cannot be judged is looked for."""
        most = self._isolation[partition].most if partition in self._isolation else 0
        return min(most or self._settings.poll_records, self._settings.poll_records)

    def _follow(self, consumer: Consumer) -> None:
        assigned = consumer.assignment()
        for partition in [one for one in self._owned if one not in assigned]:
            del self._owned[partition]
        for partition in sorted(assigned - self._owned.keys()):
            isolation = self._isolation.setdefault(partition, Isolation())
            owner = OwnedShard(partition, self._engine, self._store, self._settings, isolation)
            owner.take_entries()  # what was entered while nobody had the shard holds for its first calls
            consumer.seek(partition, owner.next_offset)
            self._owned[partition] = owner

    def _take_entries(self) -> None:
        if time.monotonic() - self._entries_s >= ENTRIES_EVERY_S:
            self._entries_s = time.monotonic()
            for owner in self._owned.values():
                owner.take_entries()

    def _prune(self) -> None:
        """Lets go of what is older than it is kept for; the owner of the first shard does it for all."""
        if 0 in self._owned and time.monotonic() - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = time.monotonic()
            prune(self._store, self._clock_ns())

    def _tick(self, consumer: Consumer) -> None:
        now_ns = self._clock_ns()
        for partition, owner in self._owned.items():
            # The next offset is no measure: the end of a transaction takes one, and is no record.
            read_to = max(owner.next_offset, consumer.read_to(partition))
            if owner.watermark_ns and consumer.bounds(partition)[1] <= read_to:
                owner.tick(now_ns)

    def _commit_all(self, consumer: Consumer, *, everything: bool) -> None:
        for partition, owner in list(self._owned.items()):
            self._commit(consumer, partition, owner, everything=everything)

    def _commit(self, consumer: Consumer, partition: int, owner: OwnedShard, *, everything: bool = False) -> None:
        if not owner.due and not (everything and owner.has_work):
            return
        try:
            if owner.commit(self._clock_ns()):
                consumer.committed(partition, owner.next_offset)
        except Fenced:
            logger.warning("backwatch: shard %d has another owner; dropped here", partition)
            del self._owned[partition]


def _portions(records: list[Record], most: Callable[[], int]) -> Iterator[list[Record]]:
    """Records in order, at most so many as each time are asked for, and so many bytes at once."""
    portion: list[Record] = []
    size = items = 0
    for record in records:
        mine = items_of(record.value)
        full = size + len(record.value) > PORTION_BYTES or items + mine > PORTION_ITEMS
        if portion and (full or len(portion) >= most()):
            yield portion
            portion, size, items = [], 0, 0
        portion.append(record)
        size += len(record.value)
        items += mine
    if portion:
        yield portion


def _by_partition(records: list[Record]) -> Mapping[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record)
    return found
