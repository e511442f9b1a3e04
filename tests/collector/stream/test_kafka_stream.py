"""The Kafka stream on the real broker."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from backwatch.collector.runtime.internal_clients import is_internal
from backwatch.collector.settings import SettingError, StreamSettings
from backwatch.collector.stream import Consumer, Message, MessageRefused, Record, StreamUnavailable
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher, open_relay
from tests.services.process import free_port
from tests.services.server import Server

MakeTopic = Callable[..., str]


@pytest.fixture
def settings(kafka: Server) -> StreamSettings:
    return StreamSettings(url=kafka.url)


@pytest.fixture
def publish(settings: StreamSettings) -> Iterator[Callable[..., None]]:
    publisher = open_publisher(settings)

    def publish(topic: str, *messages: Message) -> None:
        publisher.publish(topic, messages, 10)

    yield publish
    publisher.close(1)


def poll_until_assigned(consumer: Consumer, partitions: int, timeout_s: float = 60) -> frozenset[int]:
    """Poll until so many partitions are this member's."""
    deadline = time.monotonic() + timeout_s
    while len(consumer.assignment()) != partitions:
        assert time.monotonic() < deadline
        consumer.poll(0.2)
    consumer.poll(0.0)
    return consumer.assignment()


def read(consumer: Consumer, count: int, timeout_s: float = 20) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(records) < count and time.monotonic() < deadline:
        records += consumer.poll(0.2)
    return records


def test_published_records_are_read_with_key_backfill_and_append_time(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=1)
    before_ns = time.time_ns()
    publish(topic, Message(b"one", b"app"), Message(b"two", appended_ns=42, backfill=True))
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        first, second = read(consumer, 2)
    assert (first.value, first.key, first.backfill, first.offset) == (b"one", b"app", False, 0)
    assert before_ns - 10**9 < first.appended_ns < time.time_ns() + 10**9
    assert (second.value, second.key, second.backfill, second.appended_ns) == (b"two", None, True, 42)


def test_a_kept_append_time_in_the_future_is_not_believed(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=1)
    publish(topic, Message(b"x", appended_ns=9 * 10**18))
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        (record,) = read(consumer, 1)
    assert record.appended_ns < time.time_ns() + 10**9


def test_nothing_of_a_partition_is_delivered_before_it_was_sought(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=1)
    publish(topic, *(Message(b"%d" % at) for at in range(10)))
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        assert consumer.poll(1) == []
        consumer.seek(0, 4)
        assert [record.offset for record in read(consumer, 6)] == [4, 5, 6, 7, 8, 9]


def test_after_a_seek_nothing_fetched_before_is_delivered(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=1)
    for at in range(20):
        publish(topic, Message(b"%d" % at))
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        for start in (0, 15, 3, 19):
            consumer.seek(0, start)
            assert start == read(consumer, 1)[0].offset


def test_time_that_a_producer_wrote_is_never_later_than_now(
    settings: StreamSettings, kafka_topic: MakeTopic, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka_topic("calls", partitions=1)
    bootstrap = settings.url.removeprefix("kafka://")
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    # As a broker creates topics by default: with the times that producers write.
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"message.timestamp.type": "CreateTime"})])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for ahead_s in (1800, 0):  # a broker accepts an hour by default
        producer.send(topic, b"a", timestamp_ms=int(1000 * (time.time() + ahead_s))).get(20)
    producer.close()
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        assert all(record.appended_ns <= time.time_ns() for record in read(consumer, 2))
    (line,) = [one for one in caplog.messages if "CreateTime" in one]
    assert f"topic {topic} has message.timestamp.type=CreateTime" in line


def test_bounds_name_the_first_and_the_next_offset(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=1)
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        assert consumer.bounds(0) == (0, 0)
        publish(topic, Message(b"a"), Message(b"b"))
        assert consumer.bounds(0) == (0, 2)


class Member(threading.Thread):
    """A small detector: polls on a separate thread, seeks newly assigned partitions, keeps records."""

    def __init__(self, settings: StreamSettings, topic: str) -> None:
        super().__init__()
        self.consumer = open_consumer(settings, topic, topic)
        self.owned: frozenset[int] = frozenset()
        self.next: dict[int, int] = {}
        self.records: list[Record] = []
        self.leave = threading.Event()

    def run(self) -> None:
        with closing(self.consumer):
            while not self.leave.is_set():
                records = self.consumer.poll(0.5)
                self.records += records
                self.next.update({record.partition: record.offset + 1 for record in records})
                now = self.consumer.assignment()
                for partition in now - self.owned:
                    self.consumer.seek(partition, self.next.get(partition, 0))
                self.owned = now


def test_two_members_share_the_partitions_and_lose_no_record(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    topic = kafka_topic("calls", partitions=4)
    members = [Member(settings, topic), Member(settings, topic)]
    for member in members:
        member.start()
    deadline = time.monotonic() + 40
    while any(len(member.owned) != 2 for member in members) and time.monotonic() < deadline:
        time.sleep(0.1)
    publish(topic, *(Message(b"%d" % at, b"%d" % at) for at in range(40)))
    while sum(len(member.records) for member in members) < 40 and time.monotonic() < deadline:
        time.sleep(0.1)
    shares = [member.owned for member in members]
    for member in members:
        member.leave.set()
        member.join()
    assert frozenset({0, 1, 2, 3}) == shares[0] ^ shares[1]
    assert sorted(b"%d" % at for at in range(40)) == sorted(one.value for member in members for one in member.records)


def test_a_relay_moves_records_once_and_its_successor_continues(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    source, target = kafka_topic("in", partitions=2), kafka_topic("out", partitions=1)
    publish(source, *(Message(b"%d" % at, b"%d" % at) for at in range(6)))
    for _ in range(2):
        with closing(open_relay(settings, source, target, source)) as relay:
            deadline = time.monotonic() + 6
            while time.monotonic() < deadline:
                records = relay.poll(0.5)
                relay.forward(records, [Message(b"moved " + one.value, b"app", one.appended_ns) for one in records])
    with closing(open_consumer(settings, target, target)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        records = read(consumer, 7, timeout_s=3)
    assert sorted(b"moved %d" % at for at in range(6)) == sorted(record.value for record in records)


def test_outputs_of_a_failed_transaction_are_never_read_and_come_again(
    settings: StreamSettings, kafka_topic: MakeTopic, publish: Callable[..., None]
) -> None:
    source, target = kafka_topic("in", partitions=1), kafka_topic("out", partitions=1)
    publish(source, Message(b"a"), Message(b"b"))
    with closing(open_relay(settings, source, target, source)) as relay:
        records: list[Record] = []
        while not records:
            records = relay.poll(1)
        with pytest.raises((StreamUnavailable, MessageRefused)):
            relay.forward(records, [Message(b"half"), Message(b"x" * 2_000_000)])
        again: list[Record] = []
        while not again:
            again = relay.poll(1)
        assert records == again
        relay.forward(again, [Message(b"whole")])
    with closing(open_consumer(settings, target, target)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        assert [record.value for record in read(consumer, 2, timeout_s=3)] == [b"whole"]


def test_topics_are_created_once_with_the_brokers_time(
    settings: StreamSettings, kafka: Server, kafka_prefix: str
) -> None:
    from tests.services.brokers import topics

    topic = f"{kafka_prefix}made"
    try:
        for _ in range(2):
            ensure_topics(StreamSettings(url=kafka.url, partitions=3), [topic])
        with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
            assert {0, 1, 2} == producer.partitions_for(topic)
            sent = producer.send(topic, b"x", timestamp_ms=1000).get(10)
        assert sent.timestamp > 1_000_000_000_000
    finally:
        topics.delete(kafka, [topic])


def test_a_value_too_large_for_the_broker_is_refused_without_retry(
    settings: StreamSettings, kafka_topic: MakeTopic
) -> None:
    publisher = open_publisher(settings)
    with pytest.raises(MessageRefused, match="BACKWATCH_STREAM_URL"):
        publisher.publish(kafka_topic("calls", partitions=1), [Message(b"x" * 3_000_000)], 5)
    publisher.close(1)


def test_a_value_longer_than_any_record_may_be_is_cut(
    settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic("calls", partitions=1)
    with closing(
        KafkaProducer(bootstrap_servers=kafka.bootstrap, compression_type="gzip", max_request_size=100_000_000)
    ) as producer:
        producer.send(topic, b"x" * 20_000_000).get(20)
    with closing(open_consumer(settings, topic, topic)) as consumer:
        poll_until_assigned(consumer, 1)
        consumer.seek(0, 0)
        (record,) = read(consumer, 1)
    assert len(record.value) == 16 * 1024 * 1024
    assert len(gzip.compress(b"x" * 20_000_000)) < 100_000


def test_an_unavailable_broker_is_reported_in_one_line_with_the_setting() -> None:
    url = f"kafka://127.0.0.1:{free_port()}"
    with pytest.raises(StreamUnavailable, match=f"BACKWATCH_STREAM_URL='{url}'"):
        open_publisher(StreamSettings(url=url))


@pytest.mark.parametrize("url", ["kafka://db.example:9092", "kafka://127.0.0.1:9092,10.1.2.3:9092"])
def test_plaintext_to_another_machine_must_be_asked_for(url: str) -> None:
    with pytest.raises(SettingError, match="BACKWATCH_KAFKA_SECURITY_PROTOCOL"):
        open_publisher(StreamSettings(url=url))


@pytest.mark.parametrize("url", ["kafka://", "kafka://host:port", "kafka://:9092", "kafka://u:secret@host:9092"])
def test_an_address_that_is_none_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(SettingError, match="BACKWATCH_STREAM_URL") as refused:
        open_publisher(StreamSettings(url=url))
    assert "secret" not in str(refused.value)


def test_tls_and_a_login_are_spoken_where_the_settings_say_so(kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic("calls", partitions=1)
    for settings in (
        StreamSettings(url=f"kafka://localhost:{kafka.tls_port}", ca_file=kafka.ca_file),
        StreamSettings(
            url=f"kafka://localhost:{kafka.sasl_port}",
            ca_file=kafka.ca_file,
            security_protocol="SASL_SSL",
            username=kafka.user,
            password=kafka.password,
        ),
    ):
        publisher = open_publisher(settings)
        publisher.publish(topic, [Message(b"x")], 10)
        publisher.close(1)


def test_a_broker_with_an_untrusted_certificate_is_refused(kafka: Server) -> None:
    with pytest.raises(StreamUnavailable):
        open_publisher(StreamSettings(url=f"kafka://localhost:{kafka.tls_port}", security_protocol="SSL"))


def test_the_collectors_clients_are_marked(settings: StreamSettings, kafka: Server, kafka_topic: MakeTopic) -> None:
    from backwatch.collector.stream import kafka_clients

    topic = kafka_topic("calls", partitions=1)
    consumer, _ = kafka_clients.open_consumer(settings.url, settings, topic, topic)
    producer = kafka_clients.open_producer(settings.url, settings)
    with (
        closing(consumer),
        closing(producer),
        closing(KafkaConsumer(bootstrap_servers=kafka.bootstrap, client_id="backwatch")) as theirs,
    ):
        assert is_internal(consumer.config["client_id"])
        assert is_internal(producer.config["client_id"])
        assert not is_internal(theirs.config["client_id"])
