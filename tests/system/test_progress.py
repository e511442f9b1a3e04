"""Every assigned partition advances, or the operator learns why: on the real broker, with real members."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.brokers import topics
from tests.services.server import Server
from tests.services.waiting import wait_until
from tests.system.members import members

PARTITIONS = 4
ADVANCE_S = 30.0


class Load(threading.Thread):
    """Publish a few calls to every partition several times a second, until stopped."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.stopping = threading.Event()
        self.sent = 0

    def run(self) -> None:
        publisher = open_publisher(StreamSettings(url=self._url))
        source = random.Random(3)
        while not self.stopping.wait(0.1):
            value = streams.encode(list(streams.quiet(source, 5)), self.sent)
            publisher.publish(names.TOPIC_CALLS, [Message(value, key=b"app-%d" % at) for at in range(24)], 10)
            self.sent += 24
        publisher.close(2)


@pytest.fixture
def store_url(postgresql_database: str) -> str:
    upgrade(open_store(postgresql_database))
    return postgresql_database


@pytest.fixture
def stream_url(kafka_without_topics: Server) -> str:
    ensure_topics(
        StreamSettings(url=kafka_without_topics.url, partitions=PARTITIONS), (names.TOPIC_CALLS, names.TOPIC_SPANS)
    )
    return kafka_without_topics.url


@pytest.fixture
def load(stream_url: str) -> Iterator[Load]:
    thread = Load(stream_url)
    thread.start()
    yield thread
    thread.stopping.set()
    thread.join(20)


def offsets(store: sa.Engine) -> dict[int, int]:
    with reading(store) as connection:
        return {row.id: row.next_offset for row in connection.execute(sa.select(tables.shard))}


def holders(store: sa.Engine) -> dict[int, str]:
    """Map partitions to members, as reported within the last seconds."""
    table = tables.partition_progress
    query = sa.select(table).where(table.c.updated_ns > time.time_ns() - 8 * 10**9)
    with reading(store) as connection:
        return {row.partition_id: row.member for row in connection.execute(query)}


def all_advance(store: sa.Engine) -> None:
    """Wait until every partition's shard has advanced from its present offset."""
    before = offsets(store)

    def done() -> bool:
        now = offsets(store)
        return len(now) == PARTITIONS and all(now[one] > before.get(one, -1) for one in now)

    wait_until(done, f"not every partition advances from {before}", ADVANCE_S)


def held_by(store: sa.Engine, count: int) -> None:
    """Wait until so many members hold all partitions."""
    wait_until(
        lambda: len(found := holders(store)) == PARTITIONS and len(set(found.values())) == count,
        f"{count} member(s) do not hold all partitions",
    )


def ends(url: str) -> dict[int, int]:
    consumer = open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, "test-ends")
    found = {one: end for one, (_, end) in consumer.all_bounds(range(PARTITIONS)).items()}
    consumer.close()
    return found


@pytest.mark.slow
def test_recreated_topic_is_read_from_its_beginning(
    kafka_without_topics: Server, stream_url: str, tmp_path: Path
) -> None:
    store_url = f"sqlite:///{tmp_path / 'store.db'}"
    store = open_store(store_url)
    stream = StreamSettings(url=stream_url, partitions=PARTITIONS)
    service = DetectorService(stream, store, DetectorSettings(commit_interval_s=0))
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()

    def publish(count: int) -> None:
        publisher = open_publisher(StreamSettings(url=stream_url))
        value = streams.encode(list(streams.quiet(random.Random(1), 5)), count)
        publisher.publish(names.TOPIC_CALLS, [Message(value, key=b"app-%d" % at) for at in range(count)], 30)
        publisher.close(2)

    try:
        publish(60)
        wait_until(lambda: offsets(store) == ends(stream_url), "the first topic was not read")
        topics.delete(kafka_without_topics, (names.TOPIC_CALLS,))
        ensure_topics(StreamSettings(url=stream_url, partitions=PARTITIONS), (names.TOPIC_CALLS,))
        publish(24)
        wait_until(lambda: offsets(store) == ends(stream_url), "the second topic was not read")
        with reading(store) as connection:
            query = sa.select(sa.func.sum(tables.counter.c.value)).where(tables.counter.c.name == "gap")
            assert (connection.scalar(query) or 0) >= PARTITIONS
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_the_survivor_of_two_members_advances_every_partition(
    stream_url: str, store_url: str, load: Load, tmp_path: Path, number: int
) -> None:
    store = open_store(store_url)
    with members(stream_url, store_url, PARTITIONS, tmp_path / "members.log") as group:
        first, _ = group.start(), group.start()
        held_by(store, 2)
        group.signal(first, number)
        held_by(store, 1)
        all_advance(store)
        for _ in range(2):  # a member that joins and leaves at once: the others must go on
            group.signal(group.start(), signal.SIGTERM)
            all_advance(store)
    assert load.is_alive()
