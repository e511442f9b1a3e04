"""A transaction that its producer never ends holds readers of committed records: on the real broker, it is reported."""

import random
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message, kafka_bounds
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.detector.runtime.progress import ProgressBoard
from backwatch.detector.runtime.router import Router
from backwatch.detector.runtime.service import DetectorService
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.progress import PartitionProgress, read_progress
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.server import Server
from tests.services.waiting import wait_until


@pytest.fixture
def stream(kafka_without_topics: Server) -> StreamSettings:
    settings = StreamSettings(url=kafka_without_topics.url, partitions=1)
    ensure_topics(settings, (names.TOPIC_CALLS, names.TOPIC_SPANS))
    return settings


@pytest.fixture
def store(tmp_path: Path) -> sa.Engine:
    found = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    upgrade(found)
    return found


@pytest.fixture
def transaction(stream: StreamSettings) -> Iterator[confluent_kafka.Producer]:
    """Return a producer that has written one record to each topic, and has not ended its transaction."""
    producer = confluent_kafka.Producer({
        "bootstrap.servers": stream.url.removeprefix("kafka://"), "transactional.id": str(uuid.uuid4()),
    })  # fmt: skip
    producer.init_transactions(30)
    producer.begin_transaction()
    for topic in (names.TOPIC_CALLS, names.TOPIC_SPANS):
        producer.produce(topic, b"", partition=0)
    assert producer.flush(30) == 0
    yield producer
    producer.abort_transaction(30)


@pytest.fixture
def running(stream: StreamSettings, store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DetectorService]:
    """Return a detector that runs, beside a router whose progress it writes."""
    monkeypatch.setattr(kafka_bounds, "MIN_OPEN_S", 1.0)
    router = Router(stream)
    service = DetectorService(stream, store, DetectorSettings(commit_interval_s=0))
    board = ProgressBoard(store, [service.progress, router.progress], None)
    board.start()
    stop = threading.Event()
    threads = [threading.Thread(target=one.run, args=(stop,)) for one in (service, router)]
    for thread in threads:
        thread.start()
    yield service
    stop.set()
    for thread in threads:
        thread.join(60)
    board.stop()


def progress_of(store: sa.Engine) -> dict[str, PartitionProgress]:
    with reading(store) as connection:
        return {row.topic: row for row in read_progress(connection)}


def test_open_transaction_shows_as_lag_with_its_reason(
    stream: StreamSettings, store: sa.Engine, transaction: confluent_kafka.Producer, running: DetectorService
) -> None:
    publisher = open_publisher(stream)
    value = streams.encode(list(streams.quiet(random.Random(3), 5)), 1)
    for topic in (names.TOPIC_CALLS, names.TOPIC_SPANS):
        publisher.publish(topic, [Message(value, key=b"app")] * 3, 20)
    publisher.close(2)

    def is_reported() -> bool:
        rows = progress_of(store)
        return len(rows) == 2 and all(row.lag == 4 and "has not ended" in row.reason for row in rows.values())

    wait_until(is_reported, "an open transaction is not reported", 45)
    transaction.abort_transaction(30)
    wait_until(lambda: all(not row.lag and not row.reason for row in progress_of(store).values()), "still behind", 45)
    transaction.begin_transaction()
