"""Heartbeats of one process: when one is due, and what it reports.

The first is sent as soon as the worker runs, the last at a clean shutdown, so that a detector can distinguish a process
that ended from one that fell silent. Everything here runs on the worker's thread.
"""

import math
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.pipeline.queue import BoundedQueue
from backwatch.collector.runtime import guard, processes
from backwatch.collector.runtime.record import AttributeValue

MIN_LOSS_REPORT_INTERVAL_S: Final = 1.0
"""Drops are reported at once, but not more often than this."""
STUCK_MARGIN_S: Final = 10.0
"""Seconds beyond the interval after which a relative's worker is reported as silent: a publish may take so long."""
MIN_STUCK_S: Final = 20.0


class Heartbeat(NamedTuple):
    """The contents of one heartbeat.

    Attributes:
        dropped: Records dropped since the last delivered heartbeat, by kind.
        process: Facts of the process, by contract name.
        ended: Instances of the relatives that it reports as ended.
    """

    dropped: Mapping[str, int]
    process: Mapping[str, AttributeValue]
    ended: tuple[str, ...]


class HeartbeatSchedule:
    """The heartbeats of one worker.

    Args:
        interval_s: Seconds between two of them.
        queue: The queue of calls, which counts what it drops.
        counted: Records that the worker itself dropped, by kind; read-only here.
    """

    def __init__(self, interval_s: float, queue: BoundedQueue, counted: Mapping[str, int]) -> None:
        self.interval_s = interval_s
        self._queue = queue
        self._counted = counted
        self._reported: dict[str, int] = dict.fromkeys(names.DROP_KINDS, 0)
        self._last_s = -math.inf
        self._started_ns = time.time_ns()
        self._event = "start"
        self.taken = self.delivered = 0
        """Calls taken from the queue, and calls delivered to the stream."""
        self.slot: processes.Slot | None = None

    def drops(self) -> dict[str, int]:
        """Return the drops of each kind that no delivered heartbeat has reported yet."""
        now = self._count_dropped()
        return {kind: count for kind in names.DROP_KINDS if (count := now[kind] - self._reported[kind]) > 0}

    def wait_s(self) -> float:
        """Return the seconds until the next heartbeat is due; negative if one is due now."""
        interval_s = MIN_LOSS_REPORT_INTERVAL_S if self.drops() else self.interval_s
        return self._last_s + interval_s - time.monotonic()

    def next_due(self, *, last: bool, stopping: bool, batch_calls: int = 0) -> Heartbeat | None:
        """Return the heartbeat that is due now.

        Args:
            last: The worker stops and has only this heartbeat left to deliver: the final one.
            stopping: The worker stops; drops are reported without delay.
            batch_calls: Calls in the same publish, which delivers all or nothing.
        """
        waited_s = time.monotonic() - self._last_s
        dropped = self.drops()
        final = last and self._event != "end"
        loss = bool(dropped) and (waited_s >= MIN_LOSS_REPORT_INTERVAL_S or stopping)
        if not (final or loss or waited_s >= self.interval_s):
            return None
        relatives = processes.find_silent_relatives(max(MIN_STUCK_S, self.interval_s + STUCK_MARGIN_S))
        process = self._process("end" if final else self._event, batch_calls)
        silent = ",".join(relative.as_text() for relative in relatives if relative.running)
        ended = ",".join(relative.as_text() for relative in relatives if not relative.running)
        process |= {names.SILENT_RELATIVES: silent} if silent else {}
        process |= {names.ENDED_RELATIVES: ended} if ended else {}
        return Heartbeat(dropped, process, tuple(relative.instance for relative in relatives if not relative.running))

    def postpone(self) -> None:
        """Wait a whole interval again, because the stream refused this heartbeat."""
        self._last_s = time.monotonic()

    def on_delivered(self, heartbeat: Heartbeat) -> None:
        """Record that the stream has this heartbeat."""
        self._last_s = time.monotonic()
        for kind, count in heartbeat.dropped.items():
            self._reported[kind] += count
        self._event = "end" if heartbeat.process[names.PROCESS_EVENT] == "end" else "beat"
        for instance in heartbeat.ended:
            processes.free_slot(instance)

    def take_over(self, other: "HeartbeatSchedule") -> None:
        """Continue the counts of a replaced worker of this process."""
        self._reported, self._started_ns = dict(other._reported), other._started_ns
        self.taken, self.delivered, self._event = other.taken, other.delivered, other._event
        self.slot = other.slot

    def _count_dropped(self) -> dict[str, int]:
        return {**dict.fromkeys(names.DROP_KINDS, 0), **self._counted, "queue": self._queue.dropped,
                "probe": guard.faults}  # fmt: skip

    def _process(self, event: str, batch_calls: int) -> dict[str, AttributeValue]:
        identity = processes.current_identity()
        parent: dict[str, AttributeValue] = {names.PROCESS_PARENT: identity.parent} if identity.parent else {}
        return {
            names.PROCESS_INSTANCE: identity.instance, **parent, names.PROCESS_EVENT: event,
            names.PROCESS_STARTED: self._started_ns, names.PROCESS_INTERVAL: int(self.interval_s * 1e9),
            names.PROCESS_RECORDED: self.taken + len(self._queue) + self._queue.dropped,
            names.PROCESS_DELIVERED: self.delivered + batch_calls,
            names.PROCESS_DROPPED: sum(self._count_dropped().values()),
        }  # fmt: skip
