"""A quiet history: real calls repeated at the shop's own pace, in order, as a backfill."""

from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.attack import history
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_consumer, open_publisher
from tests.detector.streams import SAFE, SECOND, START_NS, Call, encode, statement

ROUNDS = 10
NOW_NS = START_NS + 10 * 3_600 * SECOND


@pytest.fixture
def source(tmp_path: Path) -> StreamSettings:
    """Return a stream with ten rounds of two calls."""
    settings = StreamSettings(url=f"sqlite:///{tmp_path / 'source.db'}", partitions=1)
    calls = [
        Call(START_NS + i * SECOND // 20, {**SAFE, names.DB_NAMESPACE: f"n{i % 2}"}, statement("SELECT ?"))
        for i in range(2 * ROUNDS)
    ]
    publisher = open_publisher(settings)
    publisher.publish(names.TOPIC_CALLS, [Message(encode(calls[:7])), Message(encode(calls[7:]))], timeout_s=5)
    publisher.close(5)
    return settings


def test_history_has_the_stated_length_and_density_and_ends_before_now(source: StreamSettings) -> None:
    spans = [span for _, _, span in history.repeat_calls(history.capture_calls(source), ROUNDS, NOW_NS)]
    ends = [span.end_time_unix_nano for span in spans]
    assert len(spans) == 2 * history.HOURS * 3_600 / history.EVERY_S
    assert ends[-1] < NOW_NS - 180 * SECOND, "later than the detector waits for what comes late"
    assert abs(ends[-1] - ends[0] - history.HOURS * 3_600 * SECOND) < 60 * SECOND
    minutes = [sum(one // (60 * SECOND) == minute for one in ends) for minute in {one // (60 * SECOND) for one in ends}]
    assert sorted(minutes)[len(minutes) // 2] == 2 * 60 / history.EVERY_S


def test_history_keeps_order_and_duration_of_calls(source: StreamSettings) -> None:
    spans = [span for _, _, span in history.repeat_calls(history.capture_calls(source), ROUNDS, NOW_NS)]
    assert all(a.end_time_unix_nano <= b.end_time_unix_nano for a, b in pairwise(spans))
    assert {one.end_time_unix_nano - one.start_time_unix_nano for one in spans} == {1_000_000}
    assert len({one.span_id for one in spans}) == len(spans)


def test_history_is_a_backfill_with_each_call_in_its_session(source: StreamSettings, tmp_path: Path) -> None:
    target = StreamSettings(url=f"sqlite:///{tmp_path / 'target.db'}", partitions=1)
    count, last_ns = history.publish(source, target, ROUNDS)
    consumer = open_consumer(target, names.TOPIC_CALLS, "test")
    consumer.seek(0, 0)
    seen: list[str] = []
    newest = 0
    while records := consumer.poll(0.2):
        for record in records:
            assert record.backfill
            for resource in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                for scope in resource.scope_spans:
                    (namespace,) = [
                        one.value.string_value for one in scope.scope.attributes if one.key == names.DB_NAMESPACE
                    ]
                    seen += [namespace for _ in scope.spans]
                    newest = scope.spans[-1].end_time_unix_nano
    consumer.close()
    assert (len(seen), newest) == (count, last_ns)
    assert seen == ["n0", "n1"] * (count // 2)


def test_app_without_calls_raises_an_error(tmp_path: Path) -> None:
    empty = StreamSettings(url=f"sqlite:///{tmp_path / 'empty.db'}", partitions=1)
    publisher = open_publisher(empty)
    publisher.close(1)
    with pytest.raises(RuntimeError, match="left no calls behind"):
        history.publish(empty, StreamSettings(url=f"sqlite:///{tmp_path / 'target.db'}", partitions=1), ROUNDS)
