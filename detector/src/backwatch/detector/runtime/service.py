"""The detector as a process: reads its partitions, steps its shards, and commits. It never reads ahead of the store."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine as StoreEngine
from sqlalchemy.exc import DBAPIError

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, SettingError, StreamSettings
from backwatch.collector.stream import Consumer, Record, StreamUnavailable
from backwatch.collector.stream.factory import ensure_topics, open_consumer
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.engine.windows import RING_WINDOWS
from backwatch.detector.rules.rulebook import rule_metadata
from backwatch.detector.runtime.isolation import Isolation, Undone
from backwatch.detector.runtime.lag import CLOCK_STOPPED
from backwatch.detector.runtime.log_history import LogHistory, NewStart
from backwatch.detector.runtime.pace import Pace
from backwatch.detector.runtime.progress import STALLED_S, GroupProgress
from backwatch.detector.runtime.repeated_errors import RepeatedErrors, StalledConsumer, describe_unforeseen
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import meta, rules_meta
from backwatch.store.commit import Fenced
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.prune import prune

logger = logging.getLogger("backwatch")

ENTRIES_EVERY_S = 0.5
RETRY_S = 1.0
OBSERVE_EVERY_S = 4.0
TURN_S = 15.0
"""How long what was polled is judged before the loop looks at its group, its progress and its stop again."""
TICK_AGAIN_S = 30.0
"""How long after a tick that failed the next one is tried."""
COMMITS_S = 5.0
"""How long commits that the store did not take before are tried again in one turn."""
PRUNE_EVERY_S = 3_600.0


def engine_for(store: StoreEngine, settings: DetectorSettings) -> Engine:
    """Return the engine of this installation, and write its rules' metadata to the store for dashboard and notify.

    Raises:
        SettingError: Calls may be later than windows stay open.
    """
    longest_s = (RING_WINDOWS - 2) * WINDOW_NS // 10**9
    if settings.lateness_s > longest_s:
        raise SettingError(f"BACKWATCH_DETECTOR_LATENESS_S={settings.lateness_s:g}: must be at most {longest_s}")
    config = EngineConfig(
        key=meta.installation_key(store), lateness_ns=int(settings.lateness_s * 1e9),
        clear_after_ns=int(settings.clear_after_s * 1e9), judge_loopback=settings.loopback == "judge",
    )  # fmt: skip
    engine = make_engine(config, settings.rules_directory)
    rules_meta.write_rules(store, [rule_metadata(rule) for rule in engine.rules.rules])
    return engine


class DetectorService:
    """Reads ``backwatch_calls`` as a member of a group and keeps the shards of its partitions.

    Nothing but ``stop`` ends it: a stream or store that is away is waited for, and after any other error of the
    stream's client the consumer is opened anew and the shards are loaded from the store.
    """

    def __init__(
        self,
        stream: StreamSettings,
        store: StoreEngine,
        settings: DetectorSettings,
        clock_ns: Callable[[], int] = time.time_ns,
        engine: Engine | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._store = store
        self._settings = settings
        self._clock_ns = clock_ns
        self.engine = engine or engine_for(store, settings)
        self.progress = GroupProgress(settings.group, names.TOPIC_CALLS, clock_ns)
        """What this member has read; a :class:`~backwatch.detector.runtime.progress.ProgressBoard` writes it."""
        self._owned: dict[int, ShardWorker] = {}
        self._refused: dict[int, tuple[float, str]] = {}
        self._history = LogHistory()
        self._on_ready = on_ready
        self.ready = threading.Event()
        """Set once the stream was read for the first time, kernels compiled and all."""
        self._astray: set[int] = set()
        """Partitions of which something was polled and perhaps not judged: sought again before the next poll."""
        self._errors = RepeatedErrors("detector")
        self._isolation: dict[int, Isolation] = {}
        self._pace = Pace()
        self._entries_s = 0.0
        self._observed_s = -math.inf
        self._pruned_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set; wait for a stream or store that is away or full.

        Raises:
            StoreUnavailable, StoreFull: The last commit could not be written; what it covers is read again next time.
        """
        consumer: Consumer | None = None
        try:
            while not stop.is_set():
                consumer = self.attempt(consumer, stop)
            with contextlib.suppress(Undone):  # what it covers is read again next time
                self._commit_all(consumer, everything=True)
            for owner in self._owned.values():
                if owner.trouble is not None:
                    raise owner.trouble
        finally:
            self.progress.release()
            if consumer is not None:
                consumer.close()

    def attempt(self, consumer: Consumer | None, stop: threading.Event) -> Consumer | None:
        """Run one turn and handle any error.

        Return the consumer to continue with; ``None``: the next turn opens another.
        """
        try:
            consumer = consumer or self._open()
            self.turn(consumer)
            self._errors.over()
            if not self.ready.is_set():
                self.ready.set()
                self._on_ready()
        except (StreamUnavailable, StoreUnavailable, StoreFull, DBAPIError) as error:
            self._astray |= set(self._owned)  # the client may have moved on behind what it did not give
            # A database's message may hold an attacker's text.
            text = type(error).__name__ if isinstance(error, DBAPIError) else str(error.strerror or error)
            lasting = self._errors.note(text)
            self.progress.fail(text)
            self.progress.turn("waiting after an error")
            if lasting:
                consumer = self._let_go(consumer)
            stop.wait(RETRY_S)
        except Exception as error:  # noqa: BLE001  an error of the client must not end the service
            # In which state it left consumer or shard is not known: both are made anew.
            self._errors.note(f"{describe_unforeseen(error)}; the consumer is opened anew", error)
            self.progress.fail(describe_unforeseen(error))
            consumer = self._let_go(consumer)
            self._owned.clear()
            stop.wait(self._errors.pause_s)
        return consumer

    def _open(self) -> Consumer:
        self.progress.turn("connecting to the stream")
        ensure_topics(self._stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
        consumer = open_consumer(self._stream, names.TOPIC_CALLS, self._settings.group, self._settings.instance)
        self.progress.restart_clocks()
        return consumer

    def _let_go(self, consumer: Consumer | None) -> None:
        if consumer is not None:
            self.progress.turn("closing a consumer")
            try:
                consumer.close()
            except Exception as error:  # noqa: BLE001  it is replaced in any case
                logger.debug("backwatch: a consumer did not close (%s)", type(error).__name__)

    def turn(self, consumer: Consumer) -> int:
        """One turn: read, judge, commit what is due; the number of records read."""
        try:
            return self._turn(consumer)
        except Undone as fault:
            if self._isolation[fault.partition].may_log("undone"):
                logger.error("backwatch: shard %d: a fault (%s): going back to the last commit", fault.partition, fault)  # noqa: TRY400  its text may be an attacker's
            self._owned.pop(fault.partition, None)  # loaded again at the next turn
            return 0

    def _turn(self, consumer: Consumer) -> int:
        self._follow(consumer)
        self._observe(consumer)
        if any(worker.stuck for worker in self._owned.values()):
            self.progress.turn("waiting for the store")
            self._commit_all(consumer, everything=False)
            for partition, owner in self._owned.items():  # portions that were not taken are read again
                consumer.resume(partition, owner.next_offset, owner.leader_epoch, owner.topic_id)
            time.sleep(0.2)
            return 0
        self._take_entries()  # before the calls: decisions made by now hold for them
        self.progress.turn("polling")
        self.progress.note_poll()
        records = consumer.poll(0.2)
        self._judge_all(consumer, records)
        self._prune()
        self._tick(consumer)  # while another partition has records, too: a quiet one must not stand still
        self._commit_all(consumer, everything=False)
        return len(records)

    def _judge_all(self, consumer: Consumer, records: list[Record]) -> None:
        """Judge what was polled, for a while. The rest is read again at the next turn."""
        polled = {record.partition for record in records}
        self._astray |= polled
        left, until_s = set[int](), time.monotonic() + TURN_S
        for partition, some in self._pace.portions(records, self._get_batch_limit):
            if partition in left or time.monotonic() > until_s or not self._judge(consumer, partition, some):
                left.add(partition)
        self._astray -= polled - left

    def _judge(self, consumer: Consumer, partition: int, portion: list[Record]) -> bool:
        """Judge a portion and commit what is due; whether the partition's next portion may follow."""
        owner = self._owned.get(partition)
        if owner is None or owner.stuck:
            return False
        # No record was appended at the epoch. A header that claims it would lift the bound on the ends of past calls:
        # one such end moves the watermark decades ahead, and from then on all calls are late.
        portion = [record if record.appended_ns > 0 else replace(record, appended_ns=1) for record in portion]
        first = portion[0]
        self.progress.turn(f"judging partition {partition} from offset {first.offset}")
        if first.offset < owner.next_offset:
            self._restart(consumer, owner, self._history.compare_record(consumer, owner, first))
            return False
        log_start = consumer.bounds(partition)[0] if first.offset > owner.next_offset else 0
        if first.skipped:
            owner.skip(first, log_start)
        else:
            began_s = time.monotonic()
            owner.take(portion, log_start)
            self._pace.note(portion, time.monotonic() - began_s)
        self._commit(consumer, partition, owner)
        return True

    def _restart(self, consumer: Consumer, owner: ShardWorker, start: NewStart | None) -> None:
        """Read a partition again from an earlier place if its log was cut or recreated."""
        if start is not None:
            logger.error("backwatch: %s", start.reason)
            owner.restart(start.offset, self._clock_ns(), consumer.topic_id())
            self._commit(consumer, owner.partition, owner)
            if owner.partition in self._owned:
                consumer.resume(owner.partition, owner.next_offset, owner.leader_epoch, owner.topic_id)

    def _get_batch_limit(self, partition: int) -> int:
        """Return the number of records judged at once: fewer while a faulty one is searched."""
        most = self._isolation[partition].most if partition in self._isolation else 0
        return min(most or self._settings.poll_records, self._settings.poll_records)

    def _follow(self, consumer: Consumer) -> None:
        """Own a shard for each assigned partition, at the store's offset, after every rebalance and every error."""
        assigned = consumer.assignment()
        for partition in [held for held in self._owned if held not in assigned]:
            del self._owned[partition]
        for partition in [held for held in self._refused if held not in assigned]:
            del self._refused[partition]
        self._astray &= assigned
        for partition in sorted(consumer.find_unpositioned() | self._astray | (assigned - self._owned.keys())):
            if partition in assigned and not self._is_refused(partition):
                self._position(consumer, partition)

    def _position(self, consumer: Consumer, partition: int) -> None:
        self.progress.turn(f"loading shard {partition}")
        owner = self._owned.get(partition)
        try:
            if owner is not None and not owner.is_current():
                owner = None  # another member had the partition in between, and has committed
            if owner is None:
                self._owned.pop(partition, None)
                isolation = self._isolation.setdefault(partition, Isolation())
                owner = ShardWorker(partition, self.engine, self._store, self._settings, isolation)
                owner.take_entries()  # log entries made while the shard had no owner hold for its first calls
        except (StoreUnavailable, StoreFull) as error:
            # One shard that cannot be loaded keeps no other from being judged. It is loaded once the store answers:
            # with its owner gone, nothing takes it for one that was sought.
            self._owned.pop(partition, None)
            reason = str(error.strerror or error)
            if partition not in self._refused:
                logger.error("backwatch: shard %d cannot be loaded: %s; trying until it can", partition, reason)  # noqa: TRY400  one line
            self._refused[partition] = (time.monotonic(), reason)
            self._observed_s = -math.inf
            return
        if self._refused.pop(partition, None) is not None:
            logger.warning("backwatch: shard %d is loaded, and its partition is read again", partition)
        consumer.resume(partition, owner.next_offset, owner.leader_epoch, owner.topic_id)
        self._owned[partition] = owner
        self._astray.discard(partition)
        if not owner.stuck:  # before anything of a topic that was made anew is read behind its beginning
            self._restart(consumer, owner, self._history.find_other_topic(consumer, owner))

    def _is_refused(self, partition: int) -> bool:
        at_s, _ = self._refused.get(partition, (-math.inf, ""))
        return time.monotonic() - at_s < RETRY_S

    def _observe(self, consumer: Consumer) -> None:
        """Every few seconds, report progress, and check for stalled partitions and recreated logs."""
        now_s = time.monotonic()
        if now_s - self._observed_s < OBSERVE_EVERY_S:
            return
        self._observed_s = now_s
        assigned = consumer.assignment()
        bounds = consumer.all_bounds(sorted(consumer.partitions() | assigned))
        positions: dict[int, tuple[int | None, int]] = {}
        reasons = {partition: reason for partition, (_, reason) in self._refused.items()}
        for partition in sorted(assigned):
            owner = self._owned.get(partition)
            end = bounds[partition][1]
            positions[partition] = (None if owner is None else self._read_to(consumer, partition, owner), end)
            if owner is None:
                continue
            if owner.trouble is not None:
                reasons[partition] = str(owner.trouble.strerror or owner.trouble)
            elif self._isolation[partition].tick_fault:
                reasons[partition] = self._isolation[partition].tick_fault
            if not owner.stuck:
                self._restart(consumer, owner, self._history.compare_end(consumer, owner, end))
        for partition, reason in consumer.held_back().items():
            reasons.setdefault(partition, reason)
        if consumer.is_rebalancing():
            for partition, (at, end) in positions.items():
                if at is not None and at < end:
                    reasons.setdefault(partition, "the consumer group is rebalancing")
        owners = {partition: owner.owner for partition, owner in self._owned.items()}
        self.progress.observe(positions, reasons, {partition: end for partition, (_, end) in bounds.items()}, owners)
        stalled = self.progress.find_stalled()  # not those with a reason: another consumer would be no better off
        if stalled:
            raise StalledConsumer(
                f"partition(s) {', '.join(map(str, stalled))} of {names.TOPIC_CALLS} are assigned and have records, but"
                f" none was delivered for {STALLED_S:.0f} s"
            )

    def _read_to(self, consumer: Consumer, partition: int, owner: ShardWorker) -> int:
        """The next offset is no measure: the end of a transaction takes one, and is no record."""
        unjudged = owner.stuck or partition in self._astray
        return owner.next_offset if unjudged else max(owner.next_offset, consumer.read_to(partition))

    def _take_entries(self) -> None:
        if time.monotonic() - self._entries_s >= ENTRIES_EVERY_S:
            self._entries_s = time.monotonic()
            for owner in self._owned.values():
                owner.take_entries()

    def _prune(self) -> None:
        """Delete what exceeded its retention; the owner of the first shard does it for all."""
        if 0 in self._owned and time.monotonic() - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = time.monotonic()
            prune(self._store, self._clock_ns())

    def _tick(self, consumer: Consumer) -> None:
        now_ns = self._clock_ns()
        for partition, owner in list(self._owned.items()):
            isolation = self._isolation[partition]
            if not owner.tick_is_due(now_ns):
                isolation.tick_fault = ""
                continue
            if time.monotonic() < isolation.tick_again_s:
                continue
            if consumer.bounds(partition)[1] > self._read_to(consumer, partition, owner):
                continue
            try:
                owner.tick(now_ns)
                isolation.tick_fault = ""
            except Undone as fault:  # no record is to blame: the other partitions' time goes on, and this one's later
                isolation.tick_again_s = time.monotonic() + TICK_AGAIN_S
                isolation.tick_fault = f"{CLOCK_STOPPED}: {fault}"
                if isolation.may_log("tick"):
                    logger.critical("backwatch: shard %d: %s; trying again", partition, isolation.tick_fault)
                del self._owned[partition]
                self._astray.add(partition)

    def _commit_all(self, consumer: Consumer | None, *, everything: bool) -> None:
        until_s = time.monotonic() + COMMITS_S
        for partition, owner in list(self._owned.items()):
            if everything or not owner.stuck or time.monotonic() < until_s:  # a store that hangs holds up no whole turn
                self._commit(consumer, partition, owner, everything=everything)

    def _commit(
        self, consumer: Consumer | None, partition: int, owner: ShardWorker, *, everything: bool = False
    ) -> None:
        if not owner.due and not (everything and owner.has_work):
            return
        try:
            if owner.commit(self._clock_ns()) and consumer is not None:
                consumer.commit(partition, owner.next_offset)
        except Fenced:
            logger.warning("backwatch: shard %d has another owner; dropped here", partition)
            del self._owned[partition]
