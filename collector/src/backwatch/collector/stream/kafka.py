"""Kafka, through ``kafka-python``: publishing from 2.0.2 on, reading from 3.0.12 on."""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.structs import TopicPartition

from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import (
    Consumer,
    Message,
    MessageRefused,
    Publisher,
    Record,
    Relay,
    StreamUnavailable,
    find_missing,
)
from backwatch.collector.stream import kafka_clients as clients
from backwatch.collector.stream.kafka_bounds import OpenTransactions, fetch_bounds
from backwatch.collector.stream.kafka_records import to_record

SLICE_S: Final = 0.2
TRANSACTION_TIMEOUT_MS: Final = 15_000

logger = logging.getLogger("backwatch")


class KafkaPublisher(Publisher):
    """Appends to topics; connects when it is made."""

    def __init__(self, url: str, settings: StreamSettings) -> None:
        self._url = url
        self._settings = settings
        clients.silence_client_logs()
        self._producer: Any = clients.open_producer(url, settings)

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        """Append all and wait for every acknowledgement; see :class:`~backwatch.collector.stream.Publisher`."""
        deadline = time.monotonic() + timeout_s
        if self._producer is None:
            self._producer = clients.open_producer(self._url, self._settings)
        try:
            with clients.translate_errors(self._url):
                for future in [clients.send(self._producer, topic, message) for message in messages]:
                    future.get(timeout=max(0.01, deadline - time.monotonic()))
        except StreamUnavailable:
            # The failed messages are still in its buffer, and would be sent again beside the collector's own next try.
            self.close(0.0)
            raise

    def close(self, timeout_s: float) -> None:
        """Close the client."""
        producer, self._producer = self._producer, None
        if producer is not None:
            clients.discard_producer(producer, timeout_s)


class KafkaGroupConsumer(Consumer):
    """A member of a consumer group. It delivers no records of a partition before :meth:`seek`."""

    def __init__(self, url: str, settings: StreamSettings, topic: str, group: str, instance: str = "") -> None:
        self._url = url
        self._topic = topic
        self._consumer, self._listener = clients.open_consumer(url, settings, topic, group, instance)
        self._transactions = OpenTransactions(url, self._consumer, topic)
        self._sought: dict[int, tuple[int, Any]] = {}

    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records; returns early and empty if the assignment changed."""
        deadline = time.monotonic() + timeout_s
        changes = self._listener.changes
        while True:
            left = deadline - time.monotonic()
            with clients.translate_errors(self._url):
                fetched = self._consumer.poll(timeout_ms=int(1000 * max(0.0, min(left, SLICE_S))))
                if not fetched and self.is_rebalancing():
                    fetched = clients.fetch_while_rebalancing(self._consumer)
            clients.check_membership(self._url, self._consumer)
            waiting = self.find_unpositioned()
            records = [to_record(raw) for batch in fetched.values() for raw in batch if raw.partition not in waiting]
            if records or waiting or changes != self._listener.changes or left <= 0:
                return records

    def assignment(self) -> frozenset[int]:
        """Return this member's partitions."""
        return frozenset(place.partition for place in self._consumer.assignment())

    def find_unpositioned(self) -> frozenset[int]:
        """Return assigned partitions without a seek since their (possibly repeated) assignment."""
        return frozenset(
            partition for partition in self.assignment() if self._sought.get(partition) != self._occupancy(partition)
        )

    def _occupancy(self, partition: int) -> tuple[int, Any]:
        """Return a value that changes whenever the partition was revoked, even if it came back at once.

        The client then has another position. The listener's count alone is not enough: the client may drop its position
        without a notification.
        """
        state = self._consumer._subscription.assignment.get(TopicPartition(self._topic, partition))
        return self._listener.generations[partition], id(state)

    def seek(self, partition: int, offset: int) -> None:
        """Continue from ``offset``; only then this partition's records are delivered."""
        self.resume(partition, offset, -1, "")

    def resume(self, partition: int, offset: int, leader_epoch: int, topic_id: str) -> None:  # noqa: ARG002  the service compares it
        """Continue from ``offset``; the client asks the broker whether the log still has the record before it."""
        place, occupancy = TopicPartition(self._topic, partition), self._occupancy(partition)
        # Read before: a change in between makes the partition wait for another seek.
        with contextlib.suppress(ValueError, KeyError):  # revoked meanwhile: the next poll notices
            self._consumer.seek(place, offset)
            if leader_epoch >= 0:  # the client's own method accepts offsets only
                self._consumer._subscription.seek(place, clients.to_position(offset, leader_epoch))
            self._sought[partition] = occupancy

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first available offset and the one after the last."""
        return self.all_bounds([partition])[partition]

    def all_bounds(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return the bounds of several partitions in two requests."""
        return fetch_bounds(self._url, self._consumer, self._topic, partitions)

    def held_back(self) -> dict[int, str]:
        """Partitions at whose next record a transaction is open."""
        return self._transactions.held_back()

    def partitions(self) -> frozenset[int]:
        """Return all partitions of the topic."""
        with clients.translate_errors(self._url):
            return frozenset(self._consumer.partitions_for_topic(self._topic) or ())

    def is_rebalancing(self) -> bool:
        """Return whether this member waits for its group."""
        return not self._consumer._coordinator.stable()

    def topic_id(self) -> str:
        """Return the broker's id of the topic; a topic that was deleted and created again has another."""
        return str(self._consumer._cluster.topic_id(self._topic) or "")

    def read_to(self, partition: int) -> int:
        """Return the next offset to read, past the marker that ends each of the router's transactions."""
        if partition in self.assignment() - self.find_unpositioned():
            return clients.get_position(self._consumer, TopicPartition(self._topic, partition))
        return 0

    def commit(self, partition: int, offset: int) -> None:
        """Commit the group's progress for lag displays; a failure has no consequence."""
        try:
            self._consumer.commit_async({TopicPartition(self._topic, partition): clients.to_position(offset)})
        except kafka_errors.KafkaError as error:
            logger.debug("backwatch: progress not committed (%s)", type(error).__name__)

    def close(self) -> None:
        """Leave the group."""
        clients.close_consumer(self._consumer)


@dataclass(frozen=True, slots=True)
class _Moved:
    """The position up to which a partition was relayed; offset -1: never."""

    generation: int
    offset: int
    leader_epoch: int
    topic_id: str


class KafkaRelay(Relay):
    """Moves records from one topic to another: outputs and the group's progress are one transaction.

    After an error the relay is at the group's progress again, or it is unusable and must be opened again. It never
    continues behind records that it has not relayed.
    """

    def __init__(
        self, url: str, settings: StreamSettings, source: str, target: str, group: str, instance: str = ""
    ) -> None:
        self._url = url
        self._settings = settings
        self._source = source
        self._target = target
        self._consumer, self._listener = clients.open_consumer(url, settings, source, group, instance)
        self._transactions = OpenTransactions(url, self._consumer, source)
        self._producer: Any = None
        self._membership: Any = None
        self._lost = False
        self._moved: dict[int, _Moved] = {}

    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records of the source topic, from the group's progress on."""
        if self._lost:
            raise StreamUnavailable("the relay does not know the group's progress, and must be opened again")
        with clients.translate_errors(self._url):
            fetched = self._consumer.poll(timeout_ms=int(1000 * timeout_s))
        clients.check_membership(self._url, self._consumer)
        self._membership = self._consumer.group_metadata()
        started = [place for place in self._consumer.assignment() if self._begin(place)]
        records: list[Record] = []
        for place, batch in fetched.items():
            if place not in started:  # otherwise it is read again, from a position that the broker has checked
                records += self._drop_relayed(place, [to_record(raw) for raw in batch])
        return records

    def _begin(self, place: Any) -> bool:
        """Seek a newly assigned partition to the group's progress; return whether the client was repositioned.

        The client itself drops the leader epoch of the progress. Without it a log that lost its tail would be read
        again from its beginning, and relayed twice.
        """
        generation = self._listener.generations[place.partition]
        known = self._moved.get(place.partition)
        if known is not None and known.generation == generation:
            return False
        with clients.translate_errors(self._url):
            found = self._consumer.committed(place, metadata=True, timeout_ms=clients.BOUNDS_TIMEOUT_MS)
        offset, epoch = (-1, -1) if found is None else (found.offset, found.leader_epoch)
        if epoch >= 0:
            self._consumer._subscription.seek(place, clients.to_position(offset, epoch))
        self._moved[place.partition] = _Moved(generation, offset, epoch, self._topic_id())
        return epoch >= 0

    def _topic_id(self) -> str:
        return str(self._consumer._cluster.topic_id(self._source) or "")

    def _drop_relayed(self, place: Any, found: list[Record]) -> list[Record]:
        """Return the records that were not relayed yet, preceded by a placeholder for records that the log lost."""
        moved = self._moved[place.partition]
        if moved.leader_epoch >= 0 and moved.topic_id == self._topic_id():
            # After a cut of the log, newer records have a later leader epoch.
            found = [
                record for record in found if record.offset >= moved.offset or record.leader_epoch > moved.leader_epoch
            ]
            if not found:
                return []
        lost: list[Record] = []
        if moved.offset >= 0 and found[0].offset != moved.offset:
            start = fetch_bounds(self._url, self._consumer, self._source, [place.partition])[place.partition][0]
            lost = find_missing(found[0], moved.offset, start)
        last = found[-1]
        self._moved[place.partition] = _Moved(moved.generation, last.next_offset, last.leader_epoch, self._topic_id())
        return [*lost, *found]

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Append ``outputs`` and commit ``consumed``; after a failure neither has happened."""
        if not consumed:
            return
        past: dict[int, Record] = {}
        for record in consumed:
            if record.partition not in past or record.next_offset > past[record.partition].next_offset:
                past[record.partition] = record
        offsets = {
            TopicPartition(self._source, at): clients.to_position(last.next_offset, last.leader_epoch)
            for at, last in past.items()
        }
        try:
            with clients.translate_errors(self._url):
                self._transact(offsets, outputs)
        except (StreamUnavailable, MessageRefused):
            self._start_over()
            raise

    def positions(self) -> dict[int, tuple[int, int]]:
        """Return the next offset to read and the log's end, by partition of this member."""
        owned = [place.partition for place in self._consumer.assignment()]
        ends = fetch_bounds(self._url, self._consumer, self._source, owned)
        return {
            at: (clients.get_position(self._consumer, TopicPartition(self._source, at)), ends[at][1]) for at in owned
        }

    def held_back(self) -> dict[int, str]:
        """Partitions at whose next record a transaction is open."""
        return self._transactions.held_back()

    def ends(self) -> dict[int, int]:
        """Return the end of the log of each partition of the source topic."""
        with clients.translate_errors(self._url):
            found = self._consumer.partitions_for_topic(self._source) or ()
        return {at: end for at, (_, end) in fetch_bounds(self._url, self._consumer, self._source, found).items()}

    def _transact(self, offsets: dict[Any, Any], outputs: Sequence[Message]) -> None:
        if self._membership is None or self._membership.generation_id < 0:
            raise kafka_errors.UnknownMemberIdError("the relay is not a member of its group")
        if self._producer is None:
            # The group's own fencing distinguishes members (KIP-447), so this name need not outlive the client.
            self._producer = clients.open_producer(
                self._url, self._settings, transactional_id=f"backwatch-{uuid.uuid4()}",
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS, max_block_ms=20_000, enable_idempotence=True,
            )  # fmt: skip
            self._producer.init_transactions()
        self._producer.begin_transaction()
        futures = [clients.send(self._producer, self._target, message) for message in outputs]
        for future in futures:
            future.get(timeout=15)
        # As a member of the generation in which the records were read. A member that was removed since has no
        # generation, and the broker accepts offsets from such a client unchecked: its records would be relayed twice.
        self._producer.send_offsets_to_transaction(offsets, self._membership)
        self._producer.commit_transaction()

    def _start_over(self) -> None:
        """Return to the group's progress with a new client: one that failed inside a transaction is unusable."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(kafka_errors.KafkaError, OSError):
                producer.abort_transaction()
            clients.discard_producer(producer, 1.0)
        self._lost = True
        self._moved.clear()
        with contextlib.suppress(kafka_errors.KafkaError, OSError, ValueError, KeyError):
            for place in self._consumer.assignment():
                self._consumer.seek(place, self._consumer.committed(place, timeout_ms=5000) or 0)
            self._lost = False

    def close(self) -> None:
        """Leave the group and close both clients."""
        producer, self._producer = self._producer, None
        if producer is not None:
            clients.discard_producer(producer, 2.0)
        clients.close_consumer(self._consumer)


def create_topics(url: str, settings: StreamSettings, topics: Sequence[str]) -> None:
    """Create the missing topics, with timestamps assigned by the broker."""
    from kafka.admin import NewTopic

    with clients.translate_errors(url):
        admin = KafkaAdminClient(**clients.build_options(KafkaAdminClient, url, settings))
        try:
            for topic in sorted(set(topics) - set(admin.list_topics())):
                wanted = NewTopic(
                    topic, settings.partitions, -1, topic_configs={"message.timestamp.type": "LogAppendTime"}
                )
                with contextlib.suppress(kafka_errors.TopicAlreadyExistsError):
                    admin.create_topics([wanted])
        finally:
            admin.close()
