"""One shard and its owner's bookkeeping: records read, findings, and the commit that precedes further reading."""

import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy import Engine as StoreEngine
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import DetectorSettings
from backwatch.collector.stream import Record
from backwatch.detector.decoding.fault_description import describe
from backwatch.detector.engine.clock import BOUNDARY_NS
from backwatch.detector.engine.findings import Findings, UnreadableRecord
from backwatch.detector.engine.log_entries import LogEntry, Loss, StreamRecords, Tick
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.entry_rows import read_entry
from backwatch.detector.runtime.isolation import MAX_SET_ASIDE_IN_A_ROW, Isolation, Undone
from backwatch.detector.runtime.pending import PendingCommit, at_level
from backwatch.detector.state.snapshot import CorruptState
from backwatch.store import attempts, entries, shards, tables
from backwatch.store.commit import ClearedAlert, Commit, Fenced, QuarantinedRecord
from backwatch.store.connect import StoreFull, StoreUnavailable, is_refused
from backwatch.store.text import LEVELS

logger = logging.getLogger("backwatch")

MIN_SNAPSHOT_BYTES = 1 << 20
"""Bytes of deltas below which no snapshot is worth writing."""
ENTRIES_PER_READ = 1_000
"""Decisions, profiles and models that are read at once."""
MAX_KNOWN_ALERTS = 100_000
"""Alerts known to be open; beyond these an old one is taken for new, which costs an early commit and nothing else."""


class ShardWorker:
    """A shard that this detector owns now, loaded from the store.

    Every change goes through :meth:`apply`; nothing is outside until :meth:`commit` has written it.
    """

    def __init__(
        self, partition: int, engine: Engine, store: StoreEngine, settings: DetectorSettings,
        isolation: Isolation | None = None,
    ) -> None:  # fmt: skip
        self.partition = partition
        self.owner = secrets.token_hex(16)
        """By which the store knows that this shard was loaded here, and not elsewhere since."""
        self.isolation = isolation or Isolation()
        self._engine = engine
        self._store = store
        self._settings = settings
        with store.begin() as connection:
            found = shards.load(connection, partition, self.owner)
            self._attempts = attempts.read(connection, partition, found.seq)
        self.seq, self.next_offset, self.entry_id = found.seq, found.next_offset, found.entry_id
        self.topic_id, self.leader_epoch = found.topic_id, found.leader_epoch
        self._base = found.next_offset, found.watermark_ns, found.entry_id
        self._counts, self.isolation.undone = not self.isolation.undone, False
        self.isolation.restore(self._attempts, self.next_offset)
        self._judged, self._first_offset = 0, self.next_offset
        self.shard = engine.new_shard()
        blobs = ([found.snapshot] if found.snapshot else []) + list(found.deltas)
        try:
            self.shard.apply(blobs)
        except CorruptState as error:
            raise StoreUnavailable(f"shard {partition}: {error}; restore the store from a copy") from None
        for detector in sorted(set(self.shard.relearning)):
            logger.warning("backwatch: detector %s learns anew: its table has another version", detector)
        self._snapshot_bytes = len(found.snapshot or b"")
        self._delta_bytes = sum(map(len, found.deltas))
        self._pending = PendingCommit(partition)
        self._open: set[str] = set()
        self._urgent = False
        self._committed_s = time.monotonic()
        self._unsent: Commit | None = None
        self.trouble: StoreFull | StoreUnavailable | None = None
        """Why the store did not take the last commit."""

    @property
    def watermark_ns(self) -> int:
        """Watermark of this shard, in nanoseconds."""
        return self.shard.scalars.watermark_ns

    def take(self, records: Sequence[Record], log_start: int) -> None:
        """Judges records that were read; those before ``next_offset`` have been, and count nothing.

        Args:
            log_start: First offset that the log still has: a hole before it is a loss, any other the log's own markers.

        Raises:
            Undone: One of them cannot be judged: the next owner, with the same isolation, finds out which.
        """
        fresh = [record for record in records if record.offset >= self.next_offset]
        if not fresh:
            return
        if self._counts:  # an idle shard may be loaded as often as it will: only what is judged can end a detector
            self._attempts, self._counts = attempts.count_load(self._store, self.partition, self._attempts), False
        noted = self.isolation.noted and fresh[0].offset not in self.isolation.poison
        if noted:
            offset = fresh[0].offset
            self._attempts = attempts.begin(self._store, self.partition, self._attempts, seq=self.seq, offset=offset)
        with self._undo_on_error(len(fresh), fresh[0].offset, fresh[-1].offset + 1):
            if fresh[0].offset > self.next_offset and log_start > self.next_offset:
                lost = min(log_start, fresh[0].offset) - self.next_offset
                self.apply(Loss("gap", lost, fresh[0].appended_ns))
            for poisoned, some in itertools.groupby(fresh, lambda record: record.offset in self.isolation.poison):
                if poisoned:
                    for record in some:
                        self._set_aside(record, self.isolation.poison[record.offset])
                else:
                    self._judge(list(some))
            self.next_offset, self.leader_epoch = fresh[-1].offset + 1, fresh[-1].leader_epoch
        self._pending.empty = False  # where nothing was a call, too: else its expiry would look like a loss
        self._urgent = self._urgent or self.isolation.active
        if noted:
            self._attempts = attempts.end(self._store, self.partition, self._attempts)

    def _judge(self, records: Sequence[Record]) -> None:
        self.apply(
            StreamRecords(
                values=[record.value for record in records],
                appended_ns=np.array([record.appended_ns for record in records], np.int64),
                backfill=np.array([record.backfill for record in records], np.bool_),
                offsets=np.array([record.offset for record in records], np.int64),
            )
        )
        self._first_offset = self._first_offset if self._judged else records[0].offset
        self._judged += len(records)

    def _set_aside(self, record: Record, reason: str) -> None:
        """Keeps the record's bytes in quarantine, unjudged, and counts a loss."""
        findings = self._step_loss(Loss("quarantine", 1, record.appended_ns))
        findings.unreadable.append(UnreadableRecord(record.offset, reason, record.value, record.appended_ns))
        self._fold(findings)
        self.isolation.in_a_row += 1
        if self.isolation.may_log("quarantine"):
            logger.error(
                "backwatch: shard %d: record %d cannot be judged (%s); its bytes are in quarantine",
                self.partition, record.offset, reason,
            )  # fmt: skip
        if self.isolation.in_a_row >= MAX_SET_ASIDE_IN_A_ROW and self.isolation.may_log("in a row"):
            logger.critical(
                "backwatch: shard %d: the last %d records could not be judged, which is rather a fault of "
                "Backwatch; their bytes are in quarantine", self.partition, self.isolation.in_a_row,
            )  # fmt: skip

    def _step_loss(self, loss: Loss) -> Findings:
        """Return what the engine finds in a loss; where it fails, the count alone."""
        try:
            return self._engine.step(self.shard, loss)
        except Exception as error:  # noqa: BLE001  where nothing works any more, bytes and count are kept all the same
            logger.error("backwatch: the alert of a loss could not be raised: %s", describe(error))  # noqa: TRY400  its text may be an attacker's
            return Findings(losses={loss.kind: loss.count})

    @contextlib.contextmanager
    def _undo_on_error(self, records: int, first_offset: int, end_offset: int) -> Generator[None]:
        """Turn any exception into :class:`Undone`, and note the records in which it was raised.

        Args:
            records: How many are being judged now; those since the last commit are suspects as well.
        """
        try:
            yield
        except (StoreUnavailable, StoreFull, Fenced, Undone, DBAPIError):
            raise  # the store's trouble, which is no record's
        except Exception as error:  # noqa: BLE001  no record and no entry may end the detector
            reason = describe(error)
            if suspects := self._judged + records:
                first = self._first_offset if self._judged else first_offset
                self.isolation.note_failure(suspects, first, max(end_offset, self.next_offset), reason)
            self.isolation.undone = True
            raise Undone(self.partition, reason) from None

    def skip(self, record: Record, log_start: int) -> None:
        """Skip records that could not be decoded: their bytes are kept, and they count as lost.

        Args:
            record: What stands for them.
            log_start: As for :meth:`take`.
        """
        first = max(record.offset, self.next_offset)
        if record.next_offset <= first:
            return
        at_ns = record.appended_ns or self.watermark_ns
        if first > self.next_offset and log_start > self.next_offset:
            self._fold(self._step_loss(Loss("gap", min(log_start, first) - self.next_offset, at_ns)))
        self._fold(self._step_loss(Loss("quarantine", record.next_offset - first, at_ns)))
        kept = QuarantinedRecord(
            partition=self.partition, offset=first, reason=record.reason, value=record.value, appended_ns=at_ns
        )
        self._pending.quarantined.append(kept)
        logger.error(
            "backwatch: partition %d, offsets %d to %d cannot be decoded (%s): skipped, and kept in quarantine",
            self.partition, first, record.next_offset - 1, record.reason,
        )  # fmt: skip
        self.next_offset, self.leader_epoch = record.next_offset, record.leader_epoch
        self._pending.empty = False

    def restart(self, offset: int, now_ns: int, topic_id: str = "") -> None:
        """Continue from ``offset``, below what was read. The log was cut or recreated, and its content is lost.

        Args:
            offset: The first record that was not judged.
            now_ns: Wall time, for a shard that has judged nothing.
            topic_id: The topic in which ``offset`` counts.
        """
        self._fold(self._step_loss(Loss("gap", 1, self.watermark_ns or now_ns)))
        self.next_offset, self.leader_epoch, self.topic_id = offset, -1, topic_id
        self.isolation.forget_records()
        self._pending.empty = False
        self._urgent = True

    def belongs_to(self, topic_id: str) -> None:
        """Note the topic of the next offset if it was not known. It is saved with the next commit."""
        if topic_id and not self.topic_id:
            self.topic_id = topic_id
            self._pending.empty = False

    def is_current(self) -> bool:
        """Return whether no other owner has committed since this one loaded or committed.

        Raises:
            StoreUnavailable, StoreFull: The store does not answer.
        """
        with self._store.connect() as connection:
            seq = connection.scalar(sa.select(tables.shard.c.seq).where(tables.shard.c.id == self.partition))
        return seq == self.seq

    def apply(self, entry: LogEntry) -> None:
        """Steps the engine and folds what it found."""
        self._fold(self._engine.step(self.shard, entry))

    def _fold(self, findings: Findings) -> None:
        for detector, what in findings.faults:
            self._name_fault(detector, what)
        fired = self._pending.add(findings)
        if len(self._open) > MAX_KNOWN_ALERTS:
            self._open.clear()
        self._urgent = self._urgent or not fired <= self._open
        self._open |= fired
        for cleared in (event for event in findings.events if isinstance(event, ClearedAlert)):
            self._open -= {cleared.alert_id, *(at_level(cleared.alert_id, level) for level in LEVELS)}

    def _name_fault(self, detector: str, what: str) -> None:
        if self.isolation.may_log(detector):
            logger.error("backwatch: detector %s failed (%s) and was undone for these calls", detector, what)

    def take_entries(self) -> None:
        """Applies all decisions, profiles and models that were numbered since the last one."""
        with self._store.connect() as connection:
            while rows := entries.after(connection, self.entry_id, ENTRIES_PER_READ):
                for row in rows:
                    self._take_entry(row, connection)
                    self.entry_id = row.id
                    self._pending.empty = False
                if len(rows) < ENTRIES_PER_READ:
                    break

    def _take_entry(self, row: entries.EntryRow, connection: Connection) -> None:
        """Applies an entry. One that raised before is skipped, and counted as a loss."""
        reason = self.isolation.entries.get(row.id)
        if reason is not None:
            logger.error("backwatch: entry %d cannot be applied (%s); it is skipped", row.id, reason)
            self.apply(Loss("entry", 1, row.at_ns))
            self._urgent = True
            return
        try:
            with self._undo_on_error(0, 0, 0):
                entry = read_entry(row, connection, self.partition)
                if entry is not None:
                    self.apply(entry)
                    self._urgent = True
        except Undone as fault:
            self.isolation.entries[row.id] = str(fault)
            raise

    def tick_is_due(self, now_ns: int) -> bool:
        """Return whether time has come to the next boundary."""
        mark = now_ns - int(self._settings.lateness_s * 1e9)
        return self.watermark_ns > 0 and mark // BOUNDARY_NS > self.watermark_ns // BOUNDARY_NS

    def tick(self, now_ns: int) -> None:
        """The log's end was reached: time goes on, in strides of a boundary."""
        if self.tick_is_due(now_ns):
            with self._undo_on_error(0, 0, 0):
                self.apply(Tick(now_ns - int(self._settings.lateness_s * 1e9)))
            self._pending.empty = False

    @property
    def due(self) -> bool:
        """A commit is due: an alert opened, the time or call limit is reached, or the last commit is unwritten."""
        if self._unsent is not None:
            return True
        if self._pending.empty:
            return False
        late = time.monotonic() - self._committed_s >= self._settings.commit_interval_s
        return self._urgent or late or self._pending.calls >= self._settings.commit_calls

    @property
    def has_work(self) -> bool:
        """Anything is pending."""
        return self._unsent is not None or not self._pending.empty

    @property
    def stuck(self) -> bool:
        """A commit waits for the store; nothing more may be read until it is written."""
        return self._unsent is not None

    def commit(self, now_ns: int) -> bool:
        """Write everything pending as one transaction.

        Return false if the store does not take it; it is tried again.

        Raises:
            Fenced: Another owner has committed for this shard.
            Undone: The store refuses something in it, or it cannot be made.
        """
        try:
            with self._undo_on_error(0, self._first_offset, self.next_offset):
                if self._unsent is None:
                    self._unsent = self._make()
                shards.commit(self._store, self._unsent, now_ns=now_ns)
        except (StoreUnavailable, StoreFull) as error:
            self._wait(error, str(error.strerror or error))
            return False
        except DBAPIError as error:
            self._handle_refusal(error)
            return False
        except Undone as fault:
            if self._judged or self._unsent is None:
                raise
            self._leave_out(self._unsent, str(fault))
            return False
        if self.trouble is not None:
            logger.warning("backwatch: shard %d: the store takes commits again", self.partition)
            self.trouble = None
        self.seq += 1
        self._base = self._unsent.next_offset, self._unsent.watermark_ns, self._unsent.entry_id
        if self._unsent.snapshot is not None:
            self._snapshot_bytes, self._delta_bytes = len(self._unsent.snapshot), 0
        self._delta_bytes += len(self._unsent.delta)
        self._unsent = None
        self._committed_s = time.monotonic()
        self.isolation.note_commit(self.next_offset, judged=self._judged > 0)
        self._judged = 0
        return True

    def _wait(self, error: StoreFull | StoreUnavailable, what: str) -> None:
        if self.trouble is None or self.trouble.args != error.args:
            logger.error("backwatch: %s; trying the same commit again", what)
        self.trouble = error

    def _handle_refusal(self, error: DBAPIError) -> None:
        """Meets a commit that the database did not take though it is there.

        Raises:
            Undone: A value in it is refused, and a record may be to blame.
        """
        what = f"{type(error).__name__} {getattr(error.orig, 'sqlstate', None) or ''}".strip()
        if not is_refused(error):
            self._wait(StoreUnavailable(f"shard {self.partition}: {what}"), f"shard {self.partition}: {what}")
        elif self._judged:
            reason = f"the store refuses what follows from it: {what}"
            self.isolation.note_failure(self._judged, self._first_offset, self.next_offset, reason)
            self.isolation.undone = True
            raise Undone(self.partition, reason) from None
        else:
            self._leave_out(cast("Commit", self._unsent), what)

    def _leave_out(self, unsent: Commit, reason: str) -> None:
        """Remove the findings from a commit that no record is to blame for, so that the state is saved."""
        logger.error("backwatch: shard %d: the store refuses findings (%s); they are lost", self.partition, reason)
        losses = {**unsent.losses, "findings": unsent.losses.get("findings", 0) + 1}
        self._unsent = replace(unsent, rounds=(), seen=(), rollups=(), processes=(), losses=losses)

    def _make(self) -> Commit:
        # What is found from here on, by a tick while this commit waits for the store, is the next commit's.
        pending, self._pending, self._urgent = self._pending, PendingCommit(self.partition), False
        delta = self.shard.delta()
        snapshot = None
        if self._delta_bytes + len(delta) > max(MIN_SNAPSHOT_BYTES, self._snapshot_bytes):
            snapshot, delta = self.shard.snapshot(), b""
        return Commit(
            shard=self.partition, seq=self.seq, base=self._base,
            next_offset=self.next_offset, watermark_ns=self.watermark_ns,
            entry_id=self.entry_id, delta=delta, snapshot=snapshot, rounds=pending.rounds(),
            seen=pending.list_resources(), processes=tuple(pending.processes.values()),
            rollups=tuple(pending.rollups), quarantined=tuple(pending.quarantined), losses=pending.losses,
            counters=pending.counters, topic_id=self.topic_id, leader_epoch=self.leader_epoch,
        )  # fmt: skip
