"""Static group members on the real broker: a restart moves no partition, and a duplicate name is an error."""

import time
from collections.abc import Callable

import pytest

from backwatch.collector.settings import DetectorSettings, SettingError, StreamSettings, load
from backwatch.collector.stream import StreamUnavailable
from backwatch.collector.stream.factory import open_consumer
from backwatch.collector.stream.kafka import KafkaGroupConsumer
from tests.services.server import Server

MakeTopic = Callable[..., str]


@pytest.fixture
def settings(kafka: Server) -> StreamSettings:
    return StreamSettings(url=kafka.url)


def open_member(settings: StreamSettings, topic: str, instance: str) -> KafkaGroupConsumer:
    consumer = open_consumer(settings, topic, topic, instance)
    assert isinstance(consumer, KafkaGroupConsumer)
    return consumer


def membership(consumer: KafkaGroupConsumer) -> tuple[object, ...]:
    """Return a member's own state, for the message of a failed wait."""
    coordinator = consumer._consumer._coordinator
    beat_s = time.monotonic() - max(coordinator.heartbeat.last_receive, coordinator.heartbeat.last_reset)
    return sorted(consumer.assignment()), str(coordinator.state), coordinator._generation, round(beat_s)


def poll_until(true: Callable[[], bool], *consumers: KafkaGroupConsumer) -> None:
    """Poll all of them until it is true."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, [membership(one) for one in consumers]
        for one in consumers:
            one.poll(0.05)


def test_a_static_member_that_restarts_finds_its_partitions_and_moves_no_other(
    settings: StreamSettings, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic("calls", partitions=4)
    one, other = open_member(settings, topic, "detector-0"), open_member(settings, topic, "detector-1")
    poll_until(lambda: len(one.assignment()) == len(other.assignment()) == 2, one, other)
    before, changes = one.assignment(), other._listener.changes
    one.close()
    one = open_member(settings, topic, "detector-0")
    poll_until(lambda: len(one.assignment()) == 2, one, other)
    assert (before, changes) == (one.assignment(), other._listener.changes)
    assert one.find_unpositioned() == before
    one.close()
    other.close()


def test_join_that_ends_between_two_polls_is_finished(settings: StreamSettings, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic("calls", partitions=4)
    one, other = open_member(settings, topic, "detector-0"), open_member(settings, topic, "")
    for _ in range(40):
        for member in (one, other):
            member.poll(0)
        time.sleep(0.5)  # as long as a detector judges what a poll gave it
        if len(one.assignment()) == len(other.assignment()) == 2:
            break
    assert (len(one.assignment()), len(other.assignment())) == (2, 2), [membership(one), membership(other)]
    assert not one.is_rebalancing()
    one.close()
    other.close()


def test_a_member_whose_name_is_taken_over_reports_it(settings: StreamSettings, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic("calls", partitions=2)
    one = open_member(settings, topic, "detector-0")
    poll_until(lambda: len(one.assignment()) == 2, one)
    other = open_member(settings, topic, "detector-0")
    poll_until(lambda: len(other.assignment()) == 2, other)
    lost = "another member bears the name BACKWATCH_DETECTOR_INSTANCE='detector-0'"
    # Both are polled: a member that is not polled sends no heartbeats, and the broker gives its name back to the first.
    with pytest.raises(StreamUnavailable, match=lost):
        poll_until(lambda: False, one, other)
    one.close()
    other.close()


@pytest.mark.parametrize("name", ["a b", "..", "x" * 201, "é"])
def test_a_name_that_kafka_does_not_take_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKWATCH_DETECTOR_INSTANCE", name)
    with pytest.raises(SettingError, match="BACKWATCH_DETECTOR_INSTANCE"):
        load(DetectorSettings)
