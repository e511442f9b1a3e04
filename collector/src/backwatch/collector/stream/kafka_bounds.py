"""Bounds of partitions, and open transactions that keep readers from the end of a log.

A reader of committed records gets nothing behind the first open transaction of any producer. Its client then reports
the beginning of that transaction as the end of the log: no lag, and no records for as long as the transaction is open.
"""

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka.structs import TopicPartition

from backwatch.collector.stream.kafka_clients import BOUNDS_TIMEOUT_MS, get_position, translate_errors

MIN_OPEN_S: Final = 12.0
"""A transaction that blocks readers for so long is reported; the router's take well below a second."""


def fetch_bounds(url: str, consumer: Any, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return the first offset and the end of these partitions, including records of open transactions."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    if not wanted:
        return {}
    from kafka.protocol.consumer import IsolationLevel  # older clients, which only publish, have no such module

    # The client asks with its own isolation level. A copy of its fetcher with another level leaves fetches untouched.
    fetcher = copy.copy(consumer._fetcher)
    fetcher._isolation_level = IsolationLevel.READ_UNCOMMITTED
    with translate_errors(url):
        first = consumer.beginning_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
        end = fetcher.end_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
    return {place.partition: (first[place], end[place]) for place in wanted}


class OpenTransactions:
    """A detector of partitions whose readers wait for the end of a transaction. Owned by one thread.

    Args:
        url: The stream's URL, for messages.
        consumer: The client.
        topic: The client's topic.
    """

    def __init__(self, url: str, consumer: Any, topic: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._url, self._consumer, self._topic, self._monotonic_s = url, consumer, topic, monotonic_s
        self._since: dict[int, tuple[int, float]] = {}

    def held_back(self) -> dict[int, str]:
        """Return the reason by assigned partition, for those that have waited at one offset for a while."""
        owned = [place.partition for place in self._consumer.assignment()]
        held = self._find_open(fetch_bounds(self._url, self._consumer, self._topic, owned))
        now_s = self._monotonic_s()
        self._since = {
            partition: kept if (kept := self._since.get(partition, (-1, 0.0)))[0] == at else (at, now_s)
            for partition, at in held.items()
        }  # fmt: skip
        return {
            partition: f"a transaction that its producer has not ended holds all readers back at offset {at}"
            for partition, (at, since_s) in self._since.items()
            if now_s - since_s >= MIN_OPEN_S
        }

    def _find_open(self, ends: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        """Return by partition the offset of the open transaction that the client has reached."""
        wanted = [
            place
            for partition, (_, end) in ends.items()
            if get_position(self._consumer, place := TopicPartition(self._topic, partition)) < end
        ]
        if not wanted:
            return {}
        with translate_errors(self._url):
            stable = self._consumer.end_offsets(wanted, timeout_ms=BOUNDS_TIMEOUT_MS)
        return {
            place.partition: at
            for place, at in stable.items()
            if get_position(self._consumer, place) >= at and at < ends[place.partition][1]
        }
