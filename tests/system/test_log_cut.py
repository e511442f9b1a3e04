"""A real broker whose log lost its tail: all records are judged once, and the loss is raised."""

import random
import struct
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher, open_relay
from backwatch.detector.runtime.service import DetectorService, engine_for
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.authority import Authority
from tests.services.brokers.kafka_broker import Broker, install
from tests.services.in_thread import run_in_thread
from tests.services.waiting import wait_until

CALLS = 5
SETTINGS = DetectorSettings(commit_interval_s=0)


def publish(broker: Broker, count: int, topic: str = names.TOPIC_CALLS) -> None:
    """Append so many records, each in a separate batch."""
    publisher = open_publisher(StreamSettings(url=broker.server.url))
    for number in range(count):
        value = streams.encode(list(streams.quiet(random.Random(number), CALLS)))
        publisher.publish(topic, [Message(value, key=b"shop")], 60)
    publisher.close(2)


def cut(broker: Broker, offset: int, topic: str = names.TOPIC_CALLS) -> None:
    """Remove the records from ``offset`` on from a stopped broker's files, as an older disk lacks them."""
    folder = broker.data / f"{topic}-0"
    for path in (*folder.glob("*index"), *folder.glob("*.snapshot")):
        path.unlink()
    (segment,) = folder.glob("*.log")
    content, at = segment.read_bytes(), 0
    while at < len(content):
        first, length = struct.unpack_from(">qi", content, at)
        if first >= offset:
            break
        at += 12 + length
    assert 0 < at < len(content)
    segment.write_bytes(content[:at])


def read_counter(store: sa.Engine, name: str) -> int:
    table = tables.counter
    with reading(store) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(table.c.value)).where(table.c.name == name)) or 0)


@pytest.mark.slow
def test_lost_log_tail_causes_no_double_count(ca: Authority, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    engine = engine_for(store, SETTINGS)
    with install(ca) as broker:
        stream = StreamSettings(url=broker.server.url, partitions=1)

        def detector() -> DetectorService:
            return DetectorService(stream, store, SETTINGS, engine=engine)

        def judged(count: int) -> None:
            wait_until(
                lambda: read_counter(store, "calls") == CALLS * count,
                f"{read_counter(store, 'calls')} calls are judged",
            )

        with run_in_thread(detector().run):
            with broker.run():
                ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
                publish(broker, 20)
                judged(20)
            cut(broker, 12)
            with broker.run():
                publish(broker, 3)  # fewer than were cut: the log ends below the read position
                judged(23)
        cut(broker, 13)
        with broker.run():
            publish(broker, 10)  # more than were cut, while no detector runs
            with run_in_thread(detector().run):
                judged(33)
        assert read_counter(store, "gap") == 2
        with reading(store) as connection:
            rules = list(connection.scalars(sa.select(tables.alert.c.rule).where(tables.alert.c.resource_id == "")))
        assert rules == ["telemetry-loss"]


def move_records(stream: StreamSettings, count: int) -> int:
    """Let a new relay move so many records, and later ones; return the losses among them."""
    losses = records = 0
    with closing(open_relay(stream, names.TOPIC_SPANS, names.TOPIC_CALLS, "router")) as relay:
        until_s = time.monotonic() + 60
        while records < count or time.monotonic() < until_s:
            assert time.monotonic() < until_s, f"{records} of {count} records were moved"
            found = relay.poll(0.5)
            relay.forward(found, [])
            losses += sum(1 for one in found if one.skipped)
            records += sum(1 for one in found if not one.skipped)
            if records >= count:
                until_s = min(until_s, time.monotonic() + 2)
    assert records == count
    return losses


@pytest.mark.slow
def test_a_relay_moves_no_record_twice_after_its_topic_lost_its_tail(ca: Authority) -> None:
    with install(ca) as broker:
        stream = StreamSettings(url=broker.server.url, partitions=1)
        with broker.run():
            ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
            publish(broker, 20, names.TOPIC_SPANS)
            assert move_records(stream, 20) == 0
        cut(broker, 12, names.TOPIC_SPANS)
        with broker.run():
            publish(broker, 3, names.TOPIC_SPANS)
            assert move_records(stream, 3) == 1
        cut(broker, 13, names.TOPIC_SPANS)
        with broker.run():
            publish(broker, 10, names.TOPIC_SPANS)  # more than were cut
            assert move_records(stream, 10) == 1
