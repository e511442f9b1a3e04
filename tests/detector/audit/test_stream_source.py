"""The audit reads every call that the stream holds, and leaves no trace in it."""

from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.detector.audit.seen import Filter, SeenCalls, read_stream
from tests.detector.audit.recorded_calls import SELECT, write
from tests.services.server import Server


def publish_and_read(settings: StreamSettings, folder: Path) -> SeenCalls:
    ensure_topics(settings, (names.TOPIC_CALLS,))
    values = [
        Path(write(folder, SELECT | {names.QUERY_TEXT: f"SELECT a{at} FROM t"}, app=f"shop{at % 3}")).read_bytes()
        for at in range(30)
    ]
    publisher = open_publisher(settings)
    for at, value in enumerate(values):
        publisher.publish(names.TOPIC_CALLS, [Message(value, key=b"shop%d" % (at % 3))], 20)
    publisher.close(5)
    chosen = Filter(systems=frozenset({"postgresql"}), account="shop", addresses=frozenset({("db", 5432)}))
    first = read_stream(settings, chosen)
    assert read_stream(settings, chosen).calls.keys() == first.calls.keys()
    return first


@pytest.mark.heavy
def test_every_call_of_a_kafka_stream_is_read(kafka_without_topics: Server, tmp_path: Path) -> None:
    found = publish_and_read(StreamSettings(url=kafka_without_topics.url, partitions=3), tmp_path)

    assert found.count == 30
    assert len(found.calls) == 30


def test_every_call_of_an_embedded_stream_is_read(tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()

    found = publish_and_read(StreamSettings(url=f"sqlite:///{tmp_path / 'stream.db'}"), tmp_path / "calls")

    assert found.count == 30
