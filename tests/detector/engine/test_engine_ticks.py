"""Time advances at the end of a log, also after a transaction marker."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher, open_relay
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, Call, statement
from tests.services.waiting import wait_until


@pytest.fixture(params=["sqlite", "kafka"])
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[StreamSettings, str, str]:
    """Create a stream of one partition and two topics of its own."""
    if request.param == "sqlite":
        return StreamSettings(url=f"sqlite:///{tmp_path / 'stream.db'}", partitions=1), "spans", "calls"
    make = request.getfixturevalue("kafka_topic")
    url = request.getfixturevalue("kafka").url
    return StreamSettings(url=url, partitions=1), make("spans", partitions=1), make("calls", partitions=1)


def test_shard_ticks_after_records_of_the_router(stream: tuple[StreamSettings, str, str], tmp_path: Path) -> None:
    settings, source, target = stream
    ensure_topics(settings, (source, target))
    with closing(open_relay(settings, source, target, source)) as relay:
        publisher = open_publisher(settings)
        value = streams.encode([Call(time.time_ns() - SECOND, SAFE, statement("SELECT ?"))])
        publisher.publish(source, [Message(value)], 10)
        publisher.close(1)
        relay.forward(wait_until(lambda: relay.poll(0.5)), [Message(value)])
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}", check=False)
    upgrade(store)
    ahead = 3_600 * SECOND
    service = DetectorService(
        settings, store, DetectorSettings(commit_interval_s=0), lambda: time.time_ns() + ahead,
        make_engine(EngineConfig()),
    )  # fmt: skip

    def closed_windows() -> int:
        service.turn(consumer)
        with reading(store) as connection:
            return connection.scalar(sa.select(sa.func.sum(tables.rollup.c.calls))) or 0

    with closing(open_consumer(settings, target, target)) as consumer:
        assert wait_until(closed_windows) == 1
    store.dispose()


def test_quiet_partition_ticks_while_another_is_busy(
    tmp_path: Path, kafka: Any, kafka_topic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, topic = StreamSettings(url=kafka.url, partitions=2), kafka_topic("calls", partitions=2)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}", check=False)
    upgrade(store)
    ahead_ns, engine = [0], make_engine(EngineConfig())
    service = DetectorService(
        settings, store, DetectorSettings(commit_interval_s=0), lambda: time.time_ns() + ahead_ns[0], engine
    )

    def say(*keys: bytes) -> None:
        value = streams.encode([Call(time.time_ns() - SECOND, SAFE, statement("SELECT ?"))])
        publisher.publish(topic, [Message(value, key) for key in keys], 10)

    def marks() -> list[int]:
        return [owner.watermark_ns for owner in service._owned.values() if owner.watermark_ns]

    publisher = open_publisher(settings)
    with closing(open_consumer(settings, topic, topic)) as consumer:
        say(*(b"app%d" % number for number in range(20)))
        wait_until(lambda: [service.turn(consumer), len(marks())][1] == 2)
        before, poll = max(marks()), consumer.poll
        monkeypatch.setattr(
            consumer, "poll", lambda wait_s: wait_until(lambda: poll(wait_s))
        )  # no turn without records
        for _ in range(3):
            say(b"app0")
            ahead_ns[0] += 100 * SECOND
            service.turn(consumer)
        assert min(marks()) >= before + 290 * SECOND
    publisher.close(1)
    store.dispose()
