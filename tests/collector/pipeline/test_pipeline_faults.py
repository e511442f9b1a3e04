"""A stream that is away, refuses or fails, and the collector's own faults: all are counted and reported."""

import time

import pytest

from backwatch.collector.settings import SettingError
from backwatch.collector.stream import MessageRefused, Publisher, StreamUnavailable
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import SESSION, MakePipeline, call
from tests.services.waiting import wait_until


def test_without_a_stream_calls_continue_and_every_drop_is_reported_later(
    make: MakePipeline, log: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backwatch.collector.pipeline.worker.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.MAX_PAUSE_S", 0.05)
    log.failing = StreamUnavailable("away")
    pipeline = make(queue_records=600)
    durations_s: list[float] = []
    for _ in range(3000):
        began = time.perf_counter()
        call(pipeline)
        durations_s.append(time.perf_counter() - began)
    assert sorted(durations_s)[-30] < 0.1  # a busy machine delays a few; a queue that blocks would delay four in five
    dropped = pipeline.count_dropped()
    assert dropped >= 3000 - 600 - 512
    log.failing = None
    assert pipeline.flush(10)
    wait_until(lambda: log.count_dropped().get("queue") == dropped)
    assert 3000 - dropped == len(log.spans())


def test_a_drop_count_that_was_not_delivered_is_sent_again(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make(queue_records=1, flush_interval_s=0.3)
    for _ in range(50):
        call(pipeline)
    assert pipeline.count_dropped() == 49
    log.failing = StreamUnavailable("away")
    wait_until(lambda: log.tries > 0)
    log.failing = None
    pipeline.close()
    assert log.count_dropped() == {"queue": 49}


def test_the_collectors_faults_are_counted_and_reported(
    make: MakePipeline, log: MemoryStream, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    pipeline = make()
    call(pipeline)
    pipeline.record_call(None, "x", start_ns=1)  # pyright: ignore[reportArgumentType]  a probe's bug
    pipeline.record_call(SESSION, None, start_ns=1)  # pyright: ignore[reportArgumentType]
    assert len(swallowed_faults) == 1
    call(pipeline, "SELECT 2")
    pipeline.close()
    assert log.count_dropped() == {"probe": 1, "encode": 1}
    assert len(log.spans()) == 2


def test_a_value_that_the_stream_refuses_is_dropped_and_counted(make: MakePipeline, log: MemoryStream) -> None:
    log.failing = MessageRefused("too large")
    pipeline = make(flush_interval_s=0.05)
    call(pipeline)
    wait_until(lambda: log.tries > 0)
    log.failing = None
    call(pipeline)
    pipeline.close()
    assert log.count_dropped() == {"publish": 1}
    assert len(log.spans()) == 1


def test_stream_that_refuses_heartbeats_is_not_retried_in_a_loop(
    make: MakePipeline, log: MemoryStream, caplog: pytest.LogCaptureFixture
) -> None:
    log.failing = MessageRefused("too large")
    pipeline = make(flush_interval_s=0.05)
    call(pipeline)
    wait_until(lambda: log.tries > 0)
    time.sleep(2.5)
    pipeline.close()
    assert log.tries <= 6
    assert len([one for one in caplog.messages if "too large" in one]) == 1


def test_an_unforeseen_client_failure_does_not_stop_the_worker(
    make: MakePipeline, log: MemoryStream, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    log.failing = KeyError("a bug in the client")
    pipeline = make()
    call(pipeline)
    wait_until(lambda: len(swallowed_faults) > 0)
    log.failing = None
    call(pipeline)
    pipeline.close()
    assert len(log.spans()) == 1
    assert log.count_dropped()["publish"] == 1


def test_a_forbidden_stream_is_reported_once_and_costs_nothing(
    make: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> Publisher:
        raise SettingError("BACKWATCH_STREAM_URL='kafka://db:9092': no")

    pipeline = make(refused, queue_records=10)
    for _ in range(100):
        call(pipeline)
    pipeline.close()
    assert sum("BACKWATCH_STREAM_URL" in record.message for record in caplog.records) == 1
