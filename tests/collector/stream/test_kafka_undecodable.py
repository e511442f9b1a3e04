"""On the real broker: undecodable batches are skipped, and a member without a position begins there."""

import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Producer
from kafka.structs import TopicPartition

from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, Record, StreamUnavailable
from backwatch.collector.stream.factory import open_consumer, open_relay
from backwatch.collector.stream.kafka import KafkaGroupConsumer, KafkaRelay
from tests.services.server import Server

MakeTopic = Callable[..., str]
BOMB = bytes(100 << 20)


@pytest.fixture
def settings(kafka: Server) -> StreamSettings:
    return StreamSettings(url=kafka.url)


def produce(kafka: Server, topic: str, codec: str, *values: bytes) -> None:
    """Return one batch, as librdkafka packs it."""
    producer = Producer({
        "bootstrap.servers": kafka.bootstrap, "compression.type": codec, "linger.ms": 200,
        "message.max.bytes": 200 << 20,
    })  # fmt: skip
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read(consumer: KafkaGroupConsumer, count: int, timeout_s: float = 60) -> list[Record]:
    """Seek waiting partitions to the beginning, and read so many records."""
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(records) < count and time.monotonic() < deadline:
        for partition in consumer.find_unpositioned():
            consumer.seek(partition, records[-1].next_offset if records else 0)
        records += consumer.poll(0.2)
    return records


def open_member(settings: StreamSettings, topic: str) -> KafkaGroupConsumer:
    consumer = open_consumer(settings, topic, topic)
    assert isinstance(consumer, KafkaGroupConsumer)
    return consumer


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_batches_compressed_by_other_clients_are_read(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic, codec: str
) -> None:
    topic = kafka_topic("calls")
    values = [b"call %d " % at * 50 for at in range(20)]
    produce(kafka, topic, codec, *values)
    with closing(open_member(settings, topic)) as consumer:
        assert values == [one.value for one in read(consumer, 20)]


def test_missing_codec_loses_only_its_batch(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka_topic("calls")
    produce(kafka, topic, "gzip", b"before")
    produce(kafka, topic, "snappy", *(b"call %d " % at * 50 for at in range(5)))
    produce(kafka, topic, "gzip", b"after")
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with closing(open_member(settings, topic)) as consumer:
        before, lost, after = read(consumer, 3)
    assert (before.value, after.value, after.offset) == (b"before", b"after", 6)
    assert (lost.offset, lost.skipped, lost.reason) == (1, 5, "codec snappy is not installed")
    assert lost.appended_ns > time.time_ns() - 3_600 * 10**9


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_on_the_broker_is_passed_over(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic, codec: str
) -> None:
    topic = kafka_topic("calls")
    produce(kafka, topic, codec, BOMB)
    produce(kafka, topic, codec, b"after" * 100)
    with closing(open_member(settings, topic)) as consumer:
        bomb, after = read(consumer, 2)
    assert (bomb.offset, bomb.skipped, after.value) == (0, 1, b"after" * 100)
    assert "unpacks to more than" in bomb.reason
    assert len(bomb.value) <= 1 << 16


def test_a_partition_reassigned_within_one_poll_waits_for_its_seek(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic("calls")
    produce(kafka, topic, "none", b"a", b"b")
    with closing(open_member(settings, topic)) as consumer:
        assert [one.value for one in read(consumer, 2)] == [b"a", b"b"]
        for rebalanced in (consumer._listener.on_partitions_revoked, consumer._listener.on_partitions_assigned):
            rebalanced([TopicPartition(topic, 0)])
        assert consumer.find_unpositioned() == {0}
        produce(kafka, topic, "none", b"c")
        assert consumer.poll(0.5) == []
        consumer.seek(0, 1)
        assert consumer.find_unpositioned() == frozenset()
        assert [one.value for one in consumer.poll(10)] in ([b"b"], [b"b", b"c"])


def poll_until(relay: KafkaRelay, count: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 60
    while len(records) < count and time.monotonic() < deadline:
        records += relay.poll(0.3)
    return records


def test_a_relay_that_was_put_out_of_its_group_moves_nothing(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic
) -> None:
    source, target = kafka_topic("in"), kafka_topic("out")
    produce(kafka, source, "none", b"a")
    with closing(open_relay(settings, source, target, source)) as relay:
        assert isinstance(relay, KafkaRelay)
        (record,) = poll_until(relay, 1)
        relay._consumer._coordinator.reset_generation()  # as after a heartbeat that came too late
        relay._membership = relay._consumer.group_metadata()
        with pytest.raises(StreamUnavailable, match="not a member"):
            relay.forward([record], [Message(b"twice")])
    with closing(open_relay(settings, source, target, source)) as relay:
        assert isinstance(relay, KafkaRelay)
        (again,) = poll_until(relay, 1)
        relay.forward([again], [Message(b"once")])
    with closing(open_member(settings, target)) as consumer:
        assert [one.value for one in read(consumer, 2, timeout_s=6)] == [b"once"]
