"""A real broker whose log lost its tail: what it holds and what comes next is judged once, and the loss is raised."""

import random
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message, ensure_topics, open_publisher
from backwatch.detector.service import Service, engine_for
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.authority import Authority
from tests.services.kafka_broker import Broker, install
from tests.system.commands import eventually

CALLS = 5
SETTINGS = DetectorSettings(commit_interval_s=0)


def publish(broker: Broker, count: int) -> None:
    """Append so many records, each in a batch of its own."""
    publisher = open_publisher(StreamSettings(url=broker.server.url))
    for number in range(count):
        value = streams.encoded(list(streams.quiet(random.Random(number), CALLS)))
        publisher.publish(names.TOPIC_CALLS, [Message(value, key=b"shop")], 60)
    publisher.close(2)


def cut(broker: Broker, offset: int) -> None:
    """Take the records from ``offset`` on from the files of a broker that is stopped, as an older disk lacks them."""
    folder = broker.data / f"{names.TOPIC_CALLS}-0"
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


@contextmanager
def detecting(service: Service) -> Generator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def counted(store: sa.Engine, name: str) -> int:
    table = tables.counter
    with reading(store) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(table.c.value)).where(table.c.name == name)) or 0)


@pytest.mark.slow
def test_a_broker_that_lost_the_tail_of_its_log_makes_nothing_count_twice(ca: Authority, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    engine = engine_for(store, SETTINGS)
    with install(ca) as broker:
        stream = StreamSettings(url=broker.server.url, partitions=1)

        def detector() -> Service:
            return Service(stream, store, SETTINGS, engine=engine)

        def judged(count: int) -> None:
            eventually(lambda: counted(store, "calls") == CALLS * count, f"{counted(store, 'calls')} calls are judged")

        with detecting(detector()):
            with broker.running():
                ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
                publish(broker, 20)
                judged(20)
            cut(broker, 12)
            with broker.running():
                publish(broker, 3)  # fewer than were cut: the log ends below what was read
                judged(23)
        cut(broker, 13)
        with broker.running():
            publish(broker, 10)  # more than were cut, while no detector runs
            with detecting(detector()):
                judged(33)
        assert counted(store, "gap") == 2
        with reading(store) as connection:
            rules = list(connection.scalars(sa.select(tables.alert.c.rule).where(tables.alert.c.resource_id == "")))
        assert rules == ["telemetry-loss"]
