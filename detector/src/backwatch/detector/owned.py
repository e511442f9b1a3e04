"""One shard and its owner's bookkeeping: what was read, what was found, what must be committed before more is read."""

import logging
import time
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection
from sqlalchemy import Engine as StoreEngine

from backwatch.collector.settings import DetectorSettings
from backwatch.collector.stream import Record
from backwatch.detector.engine.clock import BOUNDARY_NS
from backwatch.detector.engine.entries import Decision, Entry, Loss, ModelVersion, ProfileVersion, Records, Tick
from backwatch.detector.engine.findings import Clear
from backwatch.detector.engine.state import CorruptState
from backwatch.detector.engine.step import Engine
from backwatch.detector.pending import Pending
from backwatch.detector.profile.document import announced
from backwatch.store import entries, models, shards
from backwatch.store.commit import Commit
from backwatch.store.connect import StoreFull, StoreUnavailable

logger = logging.getLogger("backwatch")

SNAPSHOT_LEAST = 1 << 20
"""Bytes of deltas below which no snapshot is worth writing."""
ENTRIES = 1_000
"""Decisions, profiles and models that are read at once."""
REMEMBERED = 100_000
"""Alerts known to be open; beyond these an old one is taken for new, which costs an early commit and nothing else."""
FAULTS_EVERY_S = 60.0
"""A detector that fails again and again is named once a minute; how often it failed is in the counters."""


class OwnedShard:
    """A shard that this detector owns now, loaded from the store.

    Every change goes through :meth:`apply`; nothing is outside until :meth:`commit` has written it.
    """

    def __init__(self, partition: int, engine: Engine, store: StoreEngine, settings: DetectorSettings) -> None:
        self.partition = partition
        self._engine = engine
        self._store = store
        self._settings = settings
        with store.begin() as connection:
            found = shards.load(connection, partition)
        self.seq, self.next_offset, self.entry_id = found.seq, found.next_offset, found.entry_id
        self.shard = engine.new_shard()
        blobs = ([found.snapshot] if found.snapshot else []) + list(found.deltas)
        try:
            self.shard.apply(blobs)
        except CorruptState as error:
            raise StoreUnavailable(f"shard {partition}: {error}; restore the store from a copy") from None
        for one in sorted(set(self.shard.relearning)):
            logger.warning("backwatch: detector %s learns anew: its table has another version", one)
        self._snapshot_bytes = len(found.snapshot or b"")
        self._delta_bytes = sum(map(len, found.deltas))
        self._pending = Pending(partition)
        self._open: set[str] = set()
        self._named_s: dict[str, float] = {}
        self._urgent = False
        self._committed_s = time.monotonic()
        self._unsent: Commit | None = None
        self.trouble: StoreFull | StoreUnavailable | None = None
        """Why the store did not take the last commit."""

    @property
    def watermark_ns(self) -> int:
        """How far this shard's event time has come."""
        return self.shard.scalars.watermark_ns

    def take(self, records: Sequence[Record], log_start: int) -> None:
        """Judges records that were read; those before ``next_offset`` have been, and count nothing.

        Args:
            log_start: First offset that the log still has: a hole before it is a loss, any other the log's own markers.
        """
        fresh = [one for one in records if one.offset >= self.next_offset]
        if not fresh:
            return
        if fresh[0].offset > self.next_offset and log_start > self.next_offset:
            lost = min(log_start, fresh[0].offset) - self.next_offset
            self.apply(Loss("gap", lost, fresh[0].appended_ns))
        self.apply(
            Records(
                values=[one.value for one in fresh],
                appended_ns=np.array([one.appended_ns for one in fresh], np.int64),
                backfill=np.array([one.backfill for one in fresh], np.bool_),
                offsets=np.array([one.offset for one in fresh], np.int64),
            )
        )
        self.next_offset = fresh[-1].offset + 1
        self._pending.empty = False  # where nothing was a call, too: else its expiry would look like a loss

    def apply(self, entry: Entry) -> None:
        """Steps the engine and folds what it found."""
        findings = self._engine.step(self.shard, entry)
        for one, what in findings.faults:
            self._name_fault(one, what)
        fired = self._pending.add(findings)
        if len(self._open) > REMEMBERED:
            self._open.clear()
        self._urgent = self._urgent or not fired <= self._open
        self._open |= fired
        self._open -= {event.alert_id for event in findings.events if isinstance(event, Clear)}

    def _name_fault(self, detector: str, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._named_s.get(detector, -FAULTS_EVERY_S) >= FAULTS_EVERY_S:
            self._named_s[detector] = now_s
            logger.error("backwatch: detector %s failed (%s) and was undone for these calls", detector, what)

    def take_entries(self) -> None:
        """Applies all decisions, profiles and models that were numbered since the last one."""
        with self._store.connect() as connection:
            while rows := entries.after(connection, self.entry_id, ENTRIES):
                for row in rows:
                    entry = _entry(row, connection, self.partition)
                    if entry is not None:
                        self.apply(entry)
                        self._urgent = True
                    self.entry_id = row.id
                    self._pending.empty = False
                if len(rows) < ENTRIES:
                    break

    def tick_is_due(self, now_ns: int) -> bool:
        """Return whether time has come to the next boundary."""
        mark = now_ns - int(self._settings.lateness_s * 1e9)
        return self.watermark_ns > 0 and mark // BOUNDARY_NS > self.watermark_ns // BOUNDARY_NS

    def tick(self, now_ns: int) -> None:
        """The log's end was reached: time goes on, in strides of a boundary."""
        if self.tick_is_due(now_ns):
            self.apply(Tick(now_ns - int(self._settings.lateness_s * 1e9)))
            self._pending.empty = False

    @property
    def due(self) -> bool:
        """Whether a commit is due: an alert opened, time or calls have run up, or the last one is yet to be written."""
        if self._unsent is not None:
            return True
        if self._pending.empty:
            return False
        late = time.monotonic() - self._committed_s >= self._settings.commit_interval_s
        return self._urgent or late or self._pending.calls >= self._settings.commit_calls

    @property
    def has_work(self) -> bool:
        """Whether anything at all is pending."""
        return self._unsent is not None or not self._pending.empty

    @property
    def stuck(self) -> bool:
        """Whether a commit waits for the store: nothing more may be read until it is written."""
        return self._unsent is not None

    def commit(self, now_ns: int) -> bool:
        """Writes all that is pending as one transaction; false where the store does not take it: it is tried again.

        Raises:
            Fenced: Another owner has committed for this shard.
        """
        if self._unsent is None:
            self._unsent = self._make()
        try:
            shards.commit(self._store, self._unsent, now_ns=now_ns)
        except (StoreUnavailable, StoreFull) as error:
            if self.trouble is None or self.trouble.args != error.args:
                logger.error("backwatch: %s; trying the same commit again", error.strerror or error)  # noqa: TRY400  it says it all
            self.trouble = error
            return False
        if self.trouble is not None:
            logger.warning("backwatch: shard %d: the store takes commits again", self.partition)
            self.trouble = None
        self.seq += 1
        if self._unsent.snapshot is not None:
            self._snapshot_bytes, self._delta_bytes = len(self._unsent.snapshot), 0
        self._delta_bytes += len(self._unsent.delta)
        self._unsent = None
        self._pending = Pending(self.partition)
        self._urgent = False
        self._committed_s = time.monotonic()
        return True

    def _make(self) -> Commit:
        pending = self._pending
        delta = self.shard.delta()
        snapshot = None
        if self._delta_bytes + len(delta) > max(SNAPSHOT_LEAST, self._snapshot_bytes):
            snapshot, delta = self.shard.snapshot(), b""
        return Commit(
            shard=self.partition, seq=self.seq, next_offset=self.next_offset, watermark_ns=self.watermark_ns,
            entry_id=self.entry_id, delta=delta, snapshot=snapshot, rounds=pending.rounds(), seen=pending.seen(),
            processes=tuple(pending.processes.values()),
            rollups=tuple(pending.rollups), quarantined=tuple(pending.quarantined), losses=pending.losses,
            counters=pending.counters,
        )  # fmt: skip


def _entry(row: entries.EntryRow, connection: Connection, partition: int) -> Entry | None:
    body = row.body
    if row.kind == "loss" and partition == 0:  # every shard sees every entry; one loss is one finding
        return Loss(str(body.get("kind", "delivery")), int(body.get("count", 1)), row.at_ns, counted=True)
    if row.kind == "decision":
        return Decision(
            row.id, body["kind"], body["alert_id"], int(body.get("until_ns") or 0), body.get("rule", ""),
            body.get("resource_id", ""), body.get("values"), bool(body.get("closes", True)),
        )  # fmt: skip
    if row.kind == "model":
        return ModelVersion(body["detector"], body["sha256"], models.arrays(connection, body["sha256"]))
    if row.kind == "profile":
        return ProfileVersion(body["app"], body["sha256"], announced(body.get("announced", ())))
    return None
