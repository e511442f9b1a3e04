"""The detector as a process: reads its partitions, steps its shards, commits, and never gets ahead of the store."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine as StoreEngine

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, SettingError, StreamSettings
from backwatch.collector.stream import Consumer, StreamUnavailable, ensure_topics, open_consumer
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.engine.windows import RING
from backwatch.detector.owned import OwnedShard
from backwatch.detector.pace import Pace
from backwatch.detector.rulebook import make_engine, metadata
from backwatch.store import meta, rules_meta
from backwatch.store.commit import Fenced
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.prune import prune

logger = logging.getLogger("backwatch")

ENTRIES_EVERY_S = 0.5
RETRY_S = 1.0
PRUNE_EVERY_S = 3_600.0


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
        self._pace = Pace()
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
                except (StreamUnavailable, StoreUnavailable, StoreFull) as error:
                    logger.error("backwatch: %s; trying again", error.strerror or error)  # noqa: TRY400  it says it all
                    stop.wait(RETRY_S)
            self._commit_all(consumer, everything=True)
            for owner in self._owned.values():
                if owner.trouble is not None:
                    raise owner.trouble
        finally:
            consumer.close()

    def turn(self, consumer: Consumer) -> int:
        """One turn: read, judge, commit what is due; the number of records read."""
        self._follow(consumer)
        if any(one.stuck for one in self._owned.values()):
            self._commit_all(consumer, everything=False)
            for partition, owner in self._owned.items():
                consumer.seek(partition, owner.next_offset)  # portions that were not taken are read again
            time.sleep(0.2)
            return 0
        self._take_entries()  # before the calls: what people said by now holds for them
        records = consumer.poll(0.2)
        left = set[int]()
        for partition, some in self._pace.portions(records, self._settings.poll_records):
            owner = self._owned.get(partition)
            if partition in left or owner is None or owner.stuck:
                left.add(partition)  # it is read again once the shard is owned, or its commit written
                continue
            began_s = time.monotonic()
            owner.take(some, consumer.bounds(partition)[0] if some[0].offset > owner.next_offset else 0)
            self._pace.note(some, time.monotonic() - began_s)
            self._commit(consumer, partition, owner)
        self._prune()
        if not records:
            self._tick(consumer)
        self._commit_all(consumer, everything=False)
        return len(records)

    def _follow(self, consumer: Consumer) -> None:
        assigned = consumer.assignment()
        for partition in [one for one in self._owned if one not in assigned]:
            del self._owned[partition]
        for partition in sorted(assigned - self._owned.keys()):
            owner = OwnedShard(partition, self._engine, self._store, self._settings)
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
