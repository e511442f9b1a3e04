"""Kafka, through ``kafka-python``: publishing from 2.0.2 on, reading from 3.0.12 on."""

import contextlib
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.structs import TopicPartition

from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Consumer, Message, MessageRefused, Publisher, Record, Relay, StreamUnavailable
from backwatch.collector.stream import kafka_clients as clients

SLICE_S: Final = 0.2
TRANSACTION_TIMEOUT_MS: Final = 15_000

logger = logging.getLogger("backwatch")


class KafkaPublisher(Publisher):
    """Appends to topics; connects when it is made."""

    def __init__(self, url: str, settings: StreamSettings) -> None:
        self._url = url
        self._settings = settings
        clients.quiet()
        self._producer: Any = clients.producer(url, settings)

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        """Appends all and waits for every acknowledgement; see :class:`~backwatch.collector.stream.Publisher`."""
        deadline = time.monotonic() + timeout_s
        if self._producer is None:
            self._producer = clients.producer(self._url, self._settings)
        try:
            with clients.errors(self._url):
                for future in [clients.send(self._producer, topic, message) for message in messages]:
                    future.get(timeout=max(0.01, deadline - time.monotonic()))
        except StreamUnavailable:
            # What failed lies in its buffer, and would come out again beside our own next try.
            self.close(0.0)
            raise

    def close(self, timeout_s: float) -> None:
        """Lets go of the client."""
        producer, self._producer = self._producer, None
        if producer is not None:
            clients.throw_away(producer, timeout_s)


class KafkaGroupConsumer(Consumer):
    """A member of a consumer group. Records of a partition are held back until it has been ``seek``-ed."""

    def __init__(self, url: str, settings: StreamSettings, topic: str, group: str) -> None:
        self._url = url
        self._topic = topic
        self._consumer, self._listener = clients.consumer(url, settings, topic, group)
        self._sought: set[int] = set()

    def poll(self, timeout_s: float) -> list[Record]:
        """The next records; comes back early, and empty, when partitions came or went."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            with clients.errors(self._url):
                fetched = self._consumer.poll(timeout_ms=int(1000 * max(0.0, min(left, SLICE_S))))
            changed = self._note_rebalances()
            records = [
                clients.record(raw) for batch in fetched.values() for raw in batch if raw.partition in self._sought
            ]
            if records or changed or left <= 0:
                return records

    def _note_rebalances(self) -> bool:
        changed = False
        while self._listener.events:
            _, partitions = self._listener.events.popleft()
            self._sought.difference_update(one.partition for one in partitions)
            changed = True
        return changed

    def assignment(self) -> frozenset[int]:
        """Partitions that are this member's now."""
        return frozenset(one.partition for one in self._consumer.assignment())

    def seek(self, partition: int, offset: int) -> None:
        """Goes on from ``offset``; only then are this partition's records delivered."""
        with contextlib.suppress(ValueError):  # taken away meanwhile: the next poll tells
            self._consumer.seek(TopicPartition(self._topic, partition), offset)
            self._sought.add(partition)

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset that is still there, and the one after the last that is committed."""
        one = TopicPartition(self._topic, partition)
        with clients.errors(self._url):
            return self._consumer.beginning_offsets([one])[one], self._consumer.end_offsets([one])[one]

    def read_to(self, partition: int) -> int:
        """Where the next read begins: past the marker that ends each of the router's transactions."""
        with contextlib.suppress(kafka_errors.KafkaError, AssertionError, ValueError):
            if partition in self._sought:
                return self._consumer.position(TopicPartition(self._topic, partition)) or 0
        return 0

    def committed(self, partition: int, offset: int) -> None:
        """Tells the group's progress, for lag displays; a failure is of no consequence."""
        try:
            self._consumer.commit_async({TopicPartition(self._topic, partition): clients.position(offset)})
        except kafka_errors.KafkaError as error:
            logger.debug("backwatch: progress not told (%s)", type(error).__name__)

    def close(self) -> None:
        """Leaves the group."""
        with contextlib.suppress(kafka_errors.KafkaError, OSError):
            self._consumer.close(autocommit=False)


class KafkaRelay(Relay):
    """Moves records from one topic to another: outputs and the group's progress are one transaction."""

    def __init__(self, url: str, settings: StreamSettings, source: str, target: str, group: str) -> None:
        self._url = url
        self._settings = settings
        self._source = source
        self._target = target
        self._consumer, self._listener = clients.consumer(url, settings, source, group)
        self._producer: Any = None

    def poll(self, timeout_s: float) -> list[Record]:
        """The next records of the source topic, from the group's progress on."""
        with clients.errors(self._url):
            fetched = self._consumer.poll(timeout_ms=int(1000 * timeout_s))
        return [clients.record(raw) for batch in fetched.values() for raw in batch]

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Appends ``outputs`` and moves past ``consumed``; if anything fails, neither has happened."""
        if not consumed:
            return
        past: dict[int, int] = {}
        for one in consumed:
            past[one.partition] = max(past.get(one.partition, 0), one.offset + 1)
        try:
            with clients.errors(self._url):
                self._transact(
                    {TopicPartition(self._source, at): clients.position(offset) for at, offset in past.items()}, outputs
                )
        except (StreamUnavailable, MessageRefused):
            self._start_over()
            raise

    def _transact(self, offsets: dict[Any, Any], outputs: Sequence[Message]) -> None:
        if self._producer is None:
            # Members are told apart by the group's own fencing (KIP-447), so this name need not outlive the client.
            self._producer = clients.producer(
                self._url, self._settings, transactional_id=f"backwatch-{uuid.uuid4()}",
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS, max_block_ms=20_000, enable_idempotence=True,
            )  # fmt: skip
            self._producer.init_transactions()
        self._producer.begin_transaction()
        futures = [clients.send(self._producer, self._target, message) for message in outputs]
        for future in futures:
            future.get(timeout=15)
        self._producer.send_offsets_to_transaction(offsets, self._consumer.group_metadata())
        self._producer.commit_transaction()

    def _start_over(self) -> None:
        """Back to the group's progress, with a new client: one that failed inside a transaction is beyond use."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(kafka_errors.KafkaError, OSError):
                producer.abort_transaction()
            clients.throw_away(producer, 1.0)
        with contextlib.suppress(kafka_errors.KafkaError, OSError, ValueError):
            for one in self._consumer.assignment():
                self._consumer.seek(one, self._consumer.committed(one) or 0)

    def close(self) -> None:
        """Leaves the group and lets go of both clients."""
        producer, self._producer = self._producer, None
        if producer is not None:
            clients.throw_away(producer, 2.0)
        with contextlib.suppress(kafka_errors.KafkaError, OSError):
            self._consumer.close(autocommit=False)


def create_topics(url: str, settings: StreamSettings, topics: Sequence[str]) -> None:
    """Creates the topics that are missing, with time stamps given by the broker."""
    from kafka.admin import NewTopic

    with clients.errors(url):
        admin = KafkaAdminClient(**clients.options(KafkaAdminClient, url, settings))
        try:
            for topic in sorted(set(topics) - set(admin.list_topics())):
                wanted = NewTopic(
                    topic, settings.partitions, -1, topic_configs={"message.timestamp.type": "LogAppendTime"}
                )
                with contextlib.suppress(kafka_errors.TopicAlreadyExistsError):
                    admin.create_topics([wanted])
        finally:
            admin.close()
