"""Where the log of a partition begins and ends, and whether an open transaction keeps readers from its end.

A reader of committed records gets nothing behind the first transaction that its producer has not ended, whoever wrote
those records. Its client then reports the beginning of that transaction as the end of the log: no lag, and no record
for as long as the transaction is open.
"""

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka.structs import TopicPartition

from backwatch.collector.stream.kafka_clients import BOUNDS_TIMEOUT_MS, get_position, translate_errors

HELD_S: Final = 12.0
"""A transaction that holds readers for so long is reported: one of the router's takes well below a second."""


def fetch_bounds(url: str, consumer: Any, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return the first offset and the end of these partitions, records of open transactions counted in."""
    wanted = [TopicPartition(topic, one) for one in partitions]
    if not wanted:
        return {}
    from kafka.protocol.consumer import IsolationLevel  # older clients, which only publish, have no such module

    # The client asks as it reads. A copy of its fetcher that asks otherwise leaves what is being fetched alone.
    fetcher = copy.copy(consumer._fetcher)
    fetcher._isolation_level = IsolationLevel.READ_UNCOMMITTED
    with translate_errors(url):
        first = consumer.beginning_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
        end = fetcher.end_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
    return {one.partition: (first[one], end[one]) for one in wanted}


class OpenTransactions:
    """Notices partitions whose readers wait for the end of a transaction. Owned by one thread.

    Args:
        url: The stream's, for messages.
        consumer: The client.
        topic: Its topic.
    """

    def __init__(self, url: str, consumer: Any, topic: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._url, self._consumer, self._topic, self._monotonic_s = url, consumer, topic, monotonic_s
        self._since: dict[int, tuple[int, float]] = {}

    def held_back(self) -> dict[int, str]:
        """Return the reason by assigned partition, for those that have been held at one offset for a while."""
        owned = [one.partition for one in self._consumer.assignment()]
        held = self._held(fetch_bounds(self._url, self._consumer, self._topic, owned))
        now_s = self._monotonic_s()
        self._since = {
            one: kept if (kept := self._since.get(one, (-1, 0.0)))[0] == at else (at, now_s)
            for one, at in held.items()
        }  # fmt: skip
        return {
            one: f"a transaction that its producer has not ended holds all readers back at offset {at}"
            for one, (at, since_s) in self._since.items()
            if now_s - since_s >= HELD_S
        }

    def _held(self, ends: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        """Return by partition the offset of the open transaction that was read up to."""
        wanted = [
            place
            for one, (_, end) in ends.items()
            if get_position(self._consumer, place := TopicPartition(self._topic, one)) < end
        ]
        if not wanted:
            return {}
        with translate_errors(self._url):
            stable = self._consumer.end_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
        return {
            one.partition: at
            for one, at in stable.items()
            if get_position(self._consumer, one) >= at and at < ends[one.partition][1]
        }
