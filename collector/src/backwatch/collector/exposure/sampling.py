"""When values are read: a statement's first calls, then ever fewer, and never more than a share of the app's time."""

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Final

from backwatch.collector.exposure.cells import MAX_CELLS, Cell
from backwatch.collector.exposure.tally import Tally
from backwatch.collector.runtime.guard import never_breaks_the_host

FIRST_CALLS: Final = 8
"""Calls of a statement that are read one after the other."""
FIRST_CELLS: Final = 100
"""Cells after which a statement's first calls have shown enough: of replies with many rows one is read, not eight."""
MAX_INTERVAL: Final = 1_024
"""Of the later ones, those at powers of two, and then each of so many."""
RETRY_CALLS: Final = 16
"""Calls after which a statement is read that could not be, for the budget was spent."""
NS_PER_CALL: Final = 200
"""Nanoseconds that reading may take on average, for each call of the process."""
BURST_NS: Final = 20_000_000
"""Nanoseconds that it may take ahead of that average, at the start of a process say."""
MAX_CALL_NS: Final = 500_000
"""Nanoseconds after which reading one call ends."""


class Sampler:
    """Chooses the calls whose values are read, and keeps to the budget. Threads share it without a lock.

    A lost update between threads makes the budget tighter or wider by one call.
    """

    __slots__ = ("calls", "clock", "spent_ns")

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        self.calls = 0
        self.spent_ns = 0
        self.clock = clock

    def wants(self, tally: Tally) -> bool:
        """Return whether the values of a call are read, and set the call at which to ask again."""
        count = tally.calls
        self.calls += count - tally.counted
        tally.counted = count
        if self.spent_ns > BURST_NS + NS_PER_CALL * self.calls:
            tally.next_at = count + RETRY_CALLS
            return False
        if count < FIRST_CALLS and tally.cells < FIRST_CELLS:
            tally.next_at = count + 1
        elif count < MAX_INTERVAL:
            tally.next_at = 1 << count.bit_length()
        else:
            tally.next_at = (count // MAX_INTERVAL + 1) * MAX_INTERVAL
        return True

    @never_breaks_the_host
    def read(self, tally: Tally, cells: Callable[[], Iterable[Cell]], *, values: bool) -> None:
        """Read cells into a tally, up to the bounds of one call."""
        clock = self.clock
        start_ns = clock()
        count = 0
        try:
            for name, value in cells():
                if value is None:
                    tally.add_name(name)
                elif values:
                    tally.add_value(name, value)
                count += 1
                if count >= MAX_CELLS or (count & 7 == 0 and clock() - start_ns > MAX_CALL_NS):
                    break
        except RuntimeError:
            pass  # another thread of the app changes the dict that is read
        finally:
            tally.cells += count
            self.spent_ns += clock() - start_ns
