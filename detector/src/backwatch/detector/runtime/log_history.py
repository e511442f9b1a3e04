"""Checks that a partition's log is the one that its shard read: topics are recreated, and logs lose their tail.

A topic that was made anew has another id, which is kept with the shard; it is read from its beginning. A log whose tail
was cut (another replica became leader, or a broker's disk was restored) keeps the id, and what comes next is written
by a later leader: so each record below the shard's offset is known as judged, or as new, by its leader epoch. What was
judged is never judged again. See docs/adr/0023.
"""

import time
from dataclasses import dataclass
from typing import Final

from backwatch.collector import names
from backwatch.collector.stream import Consumer, Record
from backwatch.detector.runtime.shard_worker import ShardWorker

SHRUNK_S: Final = 6.0
"""How long the log must end below what was read before it counts as cut or made anew."""


@dataclass(frozen=True, slots=True)
class NewStart:
    """An earlier offset from which a partition is read again, and the reason in one line."""

    offset: int
    reason: str


class LogHistory:
    """Observations of the logs of one topic.

    Owned by one thread.
    """

    def __init__(self) -> None:
        self._shrunk: dict[int, tuple[str, float]] = {}
        """Partition to the shard, as it was loaded, that found its log too short, and when."""

    def find_other_topic(self, consumer: Consumer, owner: ShardWorker) -> NewStart | None:
        """Return the beginning of the log if the topic is not the one that was read."""
        topic_id = consumer.topic_id()
        return _begin_anew(consumer, owner) if topic_id and owner.topic_id not in ("", topic_id) else None

    def compare_record(self, consumer: Consumer, owner: ShardWorker, first: Record) -> NewStart | None:
        """Return where to go on after a record below the shard's offset was read.

        ``None``: it was judged. Where the log was cut is then seen by its end.
        """
        if not consumer.topic_id():
            return _begin_anew(consumer, owner)  # the log gives nothing below what was sought, unless it is another one
        if first.leader_epoch > owner.leader_epoch >= 0:
            return self.find_other_topic(consumer, owner) or _go_on_behind_cut(owner, first.offset)
        if consumer.bounds(owner.partition)[1] >= owner.next_offset:
            owner.leader_epoch = (
                -1
            )  # the broker does not know this epoch: asked again, it would send the client here again
        return self.find_other_topic(consumer, owner)

    def compare_end(self, consumer: Consumer, owner: ShardWorker, end: int) -> NewStart | None:
        """Return where to continue after the log's end was looked up. The shard notes its topic if all is well."""
        now_s = time.monotonic()
        if other := self.find_other_topic(consumer, owner):
            return other
        if end >= owner.next_offset:
            self._shrunk.pop(owner.partition, None)
            owner.belongs_to(consumer.topic_id())
            return None
        found = self._shrunk.get(owner.partition)
        if found is None or found[0] != owner.owner:  # another member owned the partition meanwhile
            found = self._shrunk[owner.partition] = owner.owner, now_s
        if now_s - found[1] < SHRUNK_S:
            return None  # it may be for a moment, as while a broker recovers its log
        del self._shrunk[owner.partition]
        known = consumer.topic_id() and owner.topic_id
        return _go_on_behind_cut(owner, end) if known else _begin_anew(consumer, owner)


def _begin_anew(consumer: Consumer, owner: ShardWorker) -> NewStart:
    start = consumer.bounds(owner.partition)[0]
    return NewStart(
        start,
        f"partition {owner.partition} of {names.TOPIC_CALLS} was made anew, and no longer has offset"
        f" {owner.next_offset}; reading from its beginning at {start}",
    )


def _go_on_behind_cut(owner: ShardWorker, offset: int) -> NewStart:
    return NewStart(
        offset,
        f"the log of partition {owner.partition} of {names.TOPIC_CALLS} was cut at offset {offset}, and had been judged"
        f" up to {owner.next_offset}: records are lost; going on from {offset}",
    )
