"""Progress of this process in each partition of its consumer groups, and the reason if one does not advance.

The loops that read (detector, router) report to a :class:`GroupProgress`, which only remembers. A thread of its own,
the :class:`ProgressBoard`, writes to the store, so that a loop that hangs, in the stream's client or in anything else,
is reported as well.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from backwatch.detector.rules.sigma import Rule
from backwatch.detector.runtime.lag import STALL_NS, LagAlert
from backwatch.store.progress import PartitionProgress, Place, read_progress, remove_progress, write_progress
from backwatch.store.transactions import reading

logger = logging.getLogger("backwatch")

WRITE_EVERY_S: Final = 5.0
LOOP_SILENT_S: Final = 20.0
"""A loop without a turn for so long is itself the reason why partitions do not advance."""
STALLED_S: Final = 20.0
"""A partition with records to read that does not advance for so long is stalled: its consumer is opened anew."""
MIN_POLLS: Final = 10
"""And for so many polls: under load one poll may take long, and the client serves one partition after the other."""
FORGET_AFTER_S: Final = 60.0
"""The row of a partition that the topic does not have is removed, unless a member that knows of more partitions has
written it within this time."""
MAX_REASON_CHARACTERS: Final = 300


def member_name() -> str:
    """Return host and process id of this process."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class _Position:
    """Position of a partition, with the wall time, monotonic time and poll count of its last advance."""

    next_offset: int | None
    end_offset: int
    advanced_ns: int
    advanced_s: float
    advanced_at_poll: int
    reason: str = ""


class GroupProgress:
    """The partitions that one member of a consumer group holds. Written by one loop, read by the board's thread."""

    def __init__(
        self, consumer_group: str, topic: str, clock_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.consumer_group = consumer_group
        self.topic = topic
        self.wakeup = threading.Event()
        """Set where something should be written at once."""
        self._clock_ns, self._monotonic_s = clock_ns, monotonic_s
        self._lock = threading.Lock()
        self._positions: dict[int, _Position] = {}
        self._ends: dict[int, int] = {}
        self._owners: dict[int, str] = {}
        self._reason = ""
        self._polls = 0
        self._turned_s = monotonic_s()
        self._activity = "starting"

    def turn(self, activity: str) -> None:
        """Note that the loop is alive, and what it does next."""
        self._activity, self._turned_s = activity, self._monotonic_s()

    def note_poll(self) -> None:
        """Note that the stream was asked for records."""
        self._polls += 1

    def observe(
        self, positions: Mapping[int, tuple[int | None, int]], reasons: Mapping[int, str], ends: Mapping[int, int],
        owners: Mapping[int, str] | None = None,
    ) -> None:  # fmt: skip
        """Replace what is known.

        Args:
            positions: By partition that this member holds: next offset (``None``: not known) and end of the log.
            reasons: Why some of them do not advance.
            ends: End of the log of every partition of the topic, other members' too.
            owners: Under which name this member loaded the shard of a partition.
        """
        now_ns, now_s = self._clock_ns(), self._monotonic_s()
        with self._lock:
            before = self._positions
            self._positions = {
                partition: self._advance(before.get(partition), at, end, reasons.get(partition, ""), now_ns, now_s)
                for partition, (at, end) in positions.items()
            }
            self._ends, self._owners = dict(ends), dict(owners or {})
            self._reason = ""
            news = any(
                position.reason and (partition not in before or before[partition].reason != position.reason)
                for partition, position in self._positions.items()
            )
        if news or before.keys() != positions.keys():
            self.wakeup.set()

    def _advance(
        self, before: _Position | None, at: int | None, end: int, reason: str, now_ns: int, now_s: float
    ) -> _Position:
        # At the end of its log a partition stands still for a reason alone: time does not pass, or no commit is taken.
        waits = at is None or at < end or (before is not None and bool(before.reason and reason))
        if before is not None and before.next_offset == at and waits:
            return replace(before, end_offset=end, reason=reason)
        return _Position(at, end, now_ns, now_s, self._polls, reason)

    def fail(self, reason: str) -> None:
        """Note why nothing can be read at present; the next observation voids it."""
        with self._lock:
            news = reason != self._reason
            self._reason = reason
        if news:
            self.wakeup.set()

    def release(self) -> None:
        """Note that this member holds nothing any more."""
        with self._lock:
            self._positions = {}

    def find_stalled(self) -> list[int]:
        """Return the partitions that have records and were not read, although the loop polls."""
        now_s = self._monotonic_s()
        with self._lock:
            return [
                partition
                for partition, position in sorted(self._positions.items())
                if position.next_offset is not None
                and position.next_offset < position.end_offset
                and not position.reason
                and now_s - position.advanced_s >= STALLED_S and self._polls - position.advanced_at_poll >= MIN_POLLS
            ]  # fmt: skip

    def restart_clocks(self) -> None:
        """Give every partition its time anew: the consumer was opened again. What is written is left as it is."""
        now_s = self._monotonic_s()
        with self._lock:
            self._positions = {
                partition: replace(position, advanced_s=now_s, advanced_at_poll=self._polls)
                for partition, position in self._positions.items()
            }

    def ends(self) -> dict[int, int]:
        """Return the end of the log of every partition of the topic, as last seen."""
        with self._lock:
            return dict(self._ends)

    def owners(self) -> dict[Place, str]:
        """Return the names under which this member loaded its shards, by the place of their progress."""
        with self._lock:
            return {(self.consumer_group, self.topic, partition): owner for partition, owner in self._owners.items()}

    def rows(self, member: str, known: Mapping[int, PartitionProgress]) -> list[PartitionProgress]:
        """Return what is to be written; ``known``: what the store holds by now, by partition."""
        now_ns = self._clock_ns()
        silent_s = self._monotonic_s() - self._turned_s
        general = self._reason
        if silent_s >= LOOP_SILENT_S:
            general = f"the reading loop has been {self._activity} for {silent_s:.0f} s"
        with self._lock:
            positions = dict(self._positions)
        found: list[PartitionProgress] = []
        for partition, position in sorted(positions.items()):
            stored = known.get(partition)
            next_offset = position.next_offset
            if next_offset is None:
                next_offset = stored.next_offset if stored else 0
            advanced_ns = position.advanced_ns
            fresh = stored is not None and now_ns - stored.updated_ns <= STALL_NS
            if stored is not None and fresh and stored.next_offset == next_offset < position.end_offset:
                # Another member has stood still here before. Where none was alive, catching up is no stall.
                advanced_ns = min(advanced_ns, stored.advanced_ns)
            lag = position.end_offset - next_offset
            reason = position.reason or general
            if not reason and lag > 0 and now_ns - advanced_ns > STALLED_S * 10**9:
                reason = "assigned, but no record of it was delivered"
            found.append(PartitionProgress(
                consumer_group=self.consumer_group, topic=self.topic, partition_id=partition, next_offset=next_offset,
                end_offset=position.end_offset, advanced_ns=now_ns if lag <= 0 and not reason else advanced_ns,
                updated_ns=now_ns, member=member, reason=reason[:MAX_REASON_CHARACTERS],
            ))  # fmt: skip
        return found


def _of_group(group: GroupProgress, rows: Iterable[PartitionProgress]) -> dict[int, PartitionProgress]:
    place = (group.consumer_group, group.topic)
    return {row.partition_id: row for row in rows if (row.consumer_group, row.topic) == place}


class ProgressBoard:
    """Writes the progress of this process's groups every few seconds, and raises or clears their lag alerts."""

    def __init__(
        self, store: sa.Engine, groups: Iterable[GroupProgress], rule: Rule | None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self._store, self._clock_ns = store, clock_ns
        self._groups = list(groups)
        self._member = member_name()
        self._alerts = [LagAlert(store, group.consumer_group, group.topic, rule, clock_ns) for group in self._groups]
        self._wakeup = threading.Event()
        for group in self._groups:
            group.wakeup = self._wakeup
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start writing, in a daemon thread: a store that hangs does not block the process from exiting."""
        self._thread = threading.Thread(target=self._run, name="backwatch-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        self._wakeup.set()
        if self._thread is not None:
            self._thread.join(2)

    def _run(self) -> None:
        failed = ""
        while not self._stop.is_set():
            self._wakeup.clear()
            try:
                self.write()
                failed = ""
            except Exception as error:  # noqa: BLE001  a board that ends would leave every later stall unreported
                # A store that is away is reported by the loop that commits to it; anything else is news once.
                if type(error).__name__ != failed:
                    failed = type(error).__name__
                    logger.warning("backwatch: progress is not written (%s)", failed)
            if self._wakeup.wait(WRITE_EVERY_S):
                self._stop.wait(0.2)  # several reasons that appear at once make one write

    def write(self) -> None:
        """Write the rows of all groups once, remove rows of partitions that no longer exist, and check the lag rule."""
        with reading(self._store) as connection:
            stored = read_progress(connection)
        rows: list[PartitionProgress] = []
        owners: dict[Place, str] = {}
        known: list[dict[int, PartitionProgress]] = []
        for group in self._groups:
            known.append(self._drop_removed(group, _of_group(group, stored)))
            rows += group.rows(self._member, known[-1])
            owners |= group.owners()
        written = write_progress(self._store, rows, owners)
        for group, alert, before in zip(self._groups, self._alerts, known, strict=True):
            alert.check(before | _of_group(group, written), group.ends())

    def _drop_removed(
        self, group: GroupProgress, mine: Mapping[int, PartitionProgress]
    ) -> dict[int, PartitionProgress]:
        """Remove stored rows beyond the topic's partitions: a recreated topic may have fewer."""
        ends, before_ns = group.ends(), self._clock_ns() - int(FORGET_AFTER_S * 10**9)
        last = max(ends, default=None)
        gone = {at for at, row in mine.items() if last is not None and at > last and row.updated_ns < before_ns}
        if gone and last is not None:
            remove_progress(self._store, group.consumer_group, group.topic, beyond=last, before_ns=before_ns)
            logger.warning(
                "backwatch: %s has %d partition(s): the progress of group %s in %d more is removed",
                group.topic, last + 1, group.consumer_group, len(gone),
            )  # fmt: skip
        return {partition: row for partition, row in mine.items() if partition not in gone}
