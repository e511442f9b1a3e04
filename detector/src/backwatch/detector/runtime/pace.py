"""Portion sizes: small enough that findings are committed within about a second.

A backlog may be judged much more slowly than it is read. So a portion's size follows the time that the last one took,
and partitions take turns: one partition's flood delays another's critical alert by one portion. No result depends on
where portions are cut.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from backwatch.collector.runtime.bounds import Bound
from backwatch.collector.stream import Record
from backwatch.detector.decoding.outline import items_of

MIN_PORTION_BYTES: Final = 64 << 10
FIRST_PORTION_BYTES: Final = 1 << 20
MAX_PORTION_BYTES: Final = 16 << 20
"""Bytes judged at once."""
MAX_PORTION_ITEMS: Final = 1 << 16
"""Calls judged at once, counted by the outer shape of their records; a call costs its bytes and two kilobytes more."""
TARGET_S: Final = 0.5
"""Seconds that judging a portion should take."""
BOUNDS: Final = (
    Bound(
        "records judged at once", MAX_PORTION_BYTES, "bytes", "the rest is the next portion, after a commit that is due"
    ),
    Bound(
        "calls judged at once", MAX_PORTION_ITEMS, "calls", "the rest is the next portion, after a commit that is due"
    ),
)


class Pace:
    """The size of portions, by how long the last ones took."""

    def __init__(self) -> None:
        self.portion_bytes = FIRST_PORTION_BYTES

    def note(self, records: Sequence[Record], seconds: float) -> None:
        """Record how long judging these records took. Sizes at most double, and shrink at once."""
        size = sum(len(record.value) for record in records)
        if seconds <= 0 or (size < self.portion_bytes // 2 and seconds < TARGET_S):
            return  # the time of a small portion does not predict that of a large one
        fitting = int(size * TARGET_S / seconds)
        self.portion_bytes = max(MIN_PORTION_BYTES, min(MAX_PORTION_BYTES, fitting, 2 * self.portion_bytes))

    def portions(self, records: Sequence[Record], most: Callable[[int], int]) -> Iterator[tuple[int, list[Record]]]:
        """Records by partition, in order: portions, one of each partition in turn.

        What stands for records that cannot be decoded is a portion of its own.

        Args:
            records: As they were read.
            most: How many records a portion of this partition may hold; asked for each portion.
        """
        waiting: dict[int, deque[Record]] = {}
        for record in records:
            waiting.setdefault(record.partition, deque()).append(record)
        while waiting:
            for partition in list(waiting):
                yield partition, self._portion(waiting[partition], most(partition))
                if not waiting[partition]:
                    del waiting[partition]

    def _portion(self, records: deque[Record], most: int) -> list[Record]:
        portion = [records.popleft()]
        size, items = len(portion[0].value), items_of(portion[0].value)
        while records and len(portion) < most and not portion[-1].skipped and not records[0].skipped:
            size += len(records[0].value)
            items += items_of(records[0].value)
            if size > self.portion_bytes or items > MAX_PORTION_ITEMS:
                break
            portion.append(records.popleft())
        return portion
