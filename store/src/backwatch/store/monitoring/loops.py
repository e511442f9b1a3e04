"""Whether a process's loops still turn: a loop that hangs is dead, however many threads go on beside it."""

import threading
import time
from collections.abc import Callable
from typing import Final

MAX_TURN_S: Final = 120.0
"""So long may one turn of a loop take: a commit to a store that is away, or a large piece of the stream."""
MAX_START_S: Final = 600.0
"""So long may a process take until its loop turns for the first time: a cold start compiles kernels."""


class LoopMonitor:
    """The time since a loop last turned.

    Args:
        name: Whose loop it is, in one word.
        max_turn_s: Longest turn of a loop that works.
        clock_s: A clock that only advances, in seconds.
    """

    def __init__(
        self, name: str, *, max_turn_s: float = MAX_TURN_S, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._max_turn_s = max_turn_s
        self._clock_s = clock_s
        self._turned_s = clock_s()
        self.turns = 0

    def turn(self) -> None:
        """Record that the loop turned. Called by the loop itself; costs a reading of the clock."""
        self._turned_s = self._clock_s()
        self.turns += 1

    def extend_start(self) -> None:
        """Count the time of the start anew: the process waits for something that is no fault of its own."""
        self._turned_s = self._clock_s()

    @property
    def age_s(self) -> float:
        """Seconds since the last turn, or since the start where there was none."""
        return self._clock_s() - self._turned_s

    @property
    def fault(self) -> str:
        """Why the loop counts as dead, or empty."""
        limit_s = self._max_turn_s if self.turns else MAX_START_S
        return f"the loop of the {self.name} has not turned for {self.age_s:.0f} s" if self.age_s > limit_s else ""


class MonitoredStop(threading.Event):
    """A stop event whose readers are counted: a loop asks at each turn whether to stop.

    Args:
        stop: The event that decides.
        loop: Counts the turns.
        thread: The loop's thread; other threads that use the event do not count. ``None``: the first one that asks.
    """

    def __init__(self, stop: threading.Event, loop: LoopMonitor, thread: threading.Thread | None = None) -> None:
        super().__init__()
        self._stop = stop
        self._loop = loop
        self._ident = thread.ident if thread is not None else None

    def is_set(self) -> bool:
        """Return the event's result, and count a turn of the loop."""
        self._count()
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the event, and count a turn of the loop."""
        self._count()
        return self._stop.wait(timeout)

    def set(self) -> None:
        """Set the event."""
        self._stop.set()

    def clear(self) -> None:
        """Clear the event."""
        self._stop.clear()

    def _count(self) -> None:
        ident = threading.get_ident()
        if self._ident is None:
            self._ident = ident
        if ident == self._ident:
            self._loop.turn()
