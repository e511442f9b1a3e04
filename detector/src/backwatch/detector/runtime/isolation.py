"""Isolation of records that cannot be judged: they are found and set aside, and the rest of the partition goes on.

Decoding and columns are bisected in the engine (``engine/intake.py``). What raises later leaves a shard half changed,
or findings that the store refuses. Then the shard is dropped and loaded again from its last commit, and what came since
is judged in portions of half the size, each committed by itself, until the portion that raises is one record.
See docs/adr/0024.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from backwatch.store.attempts import Attempts

LOADS_BEFORE_CARE: Final = 3
"""Loads at which judging began without a commit after it; then records are judged one by one, each noted before."""
CAREFUL_RECORDS: Final = 2_000
"""Records that are judged so, before portions are of usual size again."""
TRIES_OF_A_RECORD: Final = 5
"""Deaths of a detector over one noted record after which that record is set aside unjudged."""
MAX_SET_ASIDE_IN_A_ROW: Final = 20
"""Records set aside one after the other from which on the log calls it a fault of Backwatch."""
FAULTS_EVERY_S: Final = 60.0
"""What fails again and again is named once a minute; how often it failed is in the counters."""
KILLED: Final = "the detector ended while it judged this record"


class Undone(RuntimeError):
    """A fault that voids the shard's state since its last commit: drop the shard, and load it again.

    Attributes:
        partition: Whose shard.
    """

    def __init__(self, partition: int, reason: str) -> None:
        super().__init__(reason)
        self.partition = partition


@dataclass(slots=True)
class Isolation:
    """Faults known in one partition.

    It outlives the shard's loads.

    Attributes:
        most: Records judged between two commits; 0: as many as usual.
        until_offset: Where usual portions begin again.
        poison: Offset to reason: records to be set aside unjudged.
        entries: Entry id to reason: numbered entries to be skipped.
        in_a_row: Records set aside since the last one that was judged.
        noted: Whether each record is noted in the store before it is judged.
        named_s: When what kind of fault was logged last.
        undone: The shard was dropped for a fault that was met: its next load is no sign of a death.
        tick_again_s: Monotonic time before which no tick is tried, after one that failed.
        tick_fault: Why the last tick failed; empty: it did not, or time has come past it.
    """

    most: int = 0
    until_offset: int = 0
    poison: dict[int, str] = field(default_factory=dict[int, str])
    entries: dict[int, str] = field(default_factory=dict[int, str])
    in_a_row: int = 0
    noted: bool = False
    named_s: dict[str, float] = field(default_factory=dict[str, float])
    undone: bool = False
    tick_again_s: float = 0.0
    tick_fault: str = ""

    def may_log(self, what: str) -> bool:
        """Return whether to log a fault of this kind: at most once a minute, because there may be thousands."""
        now_s = time.monotonic()
        if now_s - self.named_s.get(what, -FAULTS_EVERY_S) < FAULTS_EVERY_S:
            return False
        self.named_s[what] = now_s
        return True

    def restore(self, attempts: Attempts, next_offset: int) -> None:
        """Take over what earlier owners noted in the store."""
        if attempts.offset == next_offset and attempts.tries >= TRIES_OF_A_RECORD:
            self.poison[next_offset] = KILLED
        if attempts.loads >= LOADS_BEFORE_CARE:
            self.noted = True
            self.most, self.until_offset = 1, max(self.until_offset, next_offset + CAREFUL_RECORDS)

    def note_failure(self, records: int, first_offset: int, end_offset: int, reason: str) -> None:
        """Note that records from ``first_offset`` to before ``end_offset`` raised, judged since the last commit."""
        if records == 1:
            self.poison[first_offset] = reason
        self.most = max(1, min(records, self.most or records) // 2)
        self.until_offset = max(self.until_offset, end_offset)

    def note_commit(self, next_offset: int, *, judged: bool) -> None:
        """Note that all before ``next_offset`` is committed.

        Args:
            judged: Records were judged, and not only set aside: then larger portions may do again.
        """
        self.poison = {offset: reason for offset, reason in self.poison.items() if offset >= next_offset}
        if judged:
            self.in_a_row = 0
            self.most = 1 if self.noted else 2 * self.most
        if next_offset >= self.until_offset:
            self.most, self.noted = 0, False

    def forget_records(self) -> None:
        """Note that the log has other records at the offsets that are known."""
        self.poison.clear()
        self.most, self.until_offset, self.noted = 0, 0, False

    @property
    def active(self) -> bool:
        """Each portion is committed by itself."""
        return self.most > 0
