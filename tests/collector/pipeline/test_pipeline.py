"""The pipeline: what a call carries, its bounds, and no effect on the app."""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.pipeline.queue import BoundedQueue
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_consumer, open_publisher
from tests.collector.memory_stream import MemoryStream, read_attributes
from tests.collector.pipeline.pipelines import QUICK, SESSION, MakePipeline, call
from tests.services.waiting import wait_until

if TYPE_CHECKING:
    from backwatch.collector.pipeline.worker import Worker


def test_a_call_arrives_redacted_with_its_facts_and_its_caller(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    call(
        pipeline, "SELECT name FROM users WHERE id = 'secret' OR 1=1 -- x", rows_returned=3, error=ValueError("secret"),
        facts=(("a.b", 5),),
    )  # fmt: skip
    assert pipeline.flush(5)
    (span,) = log.spans()
    facts = read_attributes(span.attributes)
    assert "secret" not in str(span)
    assert (
        span.name,
        facts[names.ROWS_RETURNED],
        facts["a.b"],
        facts[names.ERROR_TYPE],
    ) == ("SELECT", 3, 5, "ValueError")
    assert "tautology" in facts[names.QUERY_SIGNS].split(",")
    here = "test_a_call_arrives_redacted_with_its_facts_and_its_caller"
    assert facts[names.CODE_FUNCTION] == here
    assert facts[names.CODE_FILE] == "tests/collector/pipeline/test_pipeline.py"
    assert facts[names.CALL_PATH] == f"{facts[names.CODE_FILE]}:{here} > tests/collector/pipeline/pipelines.py:call"
    assert log.messages[0].key == b"shop"
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 10**9


def test_indicators_of_an_error_text_are_reported_without_the_text(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    error = RuntimeError("hunter2 is no password\x1b[2K\rOK")
    pipeline.record_call(SESSION, "SELECT", start_ns=time.time_ns(), sql="SELECT 1", error=error)
    assert pipeline.flush(5)
    (span,) = log.spans()
    attributes = {one.key: one.value.string_value for one in span.attributes}
    assert attributes[names.RESPONSE_INDICATORS] == "terminal-escape,control-character"
    assert attributes[names.ERROR_TYPE] == "RuntimeError"
    assert b"hunter2" not in b"".join(message.value for message in log.messages)


def test_a_call_belongs_to_the_apps_trace_even_where_nothing_is_sampled(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    context = trace.SpanContext(7 << 64, 9, is_remote=False, trace_flags=trace.TraceFlags(0))
    with trace.use_span(trace.NonRecordingSpan(context)):
        call(pipeline)
    call(pipeline)
    assert pipeline.flush(5)
    inside, outside = log.spans()
    assert (int.from_bytes(inside.trace_id, "big"), int.from_bytes(inside.parent_span_id, "big")) == (7 << 64, 9)
    assert outside.trace_id not in (inside.trace_id, bytes(16))
    assert outside.parent_span_id == b""
    assert inside.span_id != outside.span_id


def test_the_route_of_the_apps_own_span_is_reported(make: MakePipeline, log: MemoryStream) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    pipeline = make()
    with TracerProvider().get_tracer("app").start_as_current_span("GET", attributes={"http.route": "/orders/{id}"}):
        call(pipeline)
    assert pipeline.flush(5)
    assert read_attributes(log.spans()[0].attributes)[names.HTTP_ROUTE] == "/orders/{id}"


def test_no_thread_runs_before_the_first_call(make: MakePipeline) -> None:
    def count_threads() -> int:
        return sum(thread.name == "backwatch" for thread in threading.enumerate())

    before = count_threads()
    pipeline = make()
    assert before == count_threads()
    call(pipeline)
    assert before + 1 == count_threads()


def test_full_queue_drops_and_counts_further_calls() -> None:
    from tests.collector.pipeline.test_encoder import make_call

    one = make_call(SESSION)
    by_records, by_bytes = BoundedQueue(10, 10**9), BoundedQueue(10**9, 1000)
    for _ in range(100):
        by_records.put(one, 8)
        by_bytes.put(one, 100)
    assert (len(by_records), by_records.dropped, len(by_bytes), by_bytes.dropped) == (10, 90, 10, 90)
    assert by_bytes.bytes == 1000
    assert 3 == len(by_bytes.take(100, 350)) == len(by_bytes.take(3, 10**9))
    assert by_bytes.bytes == 400


def test_the_bounds_hold_with_any_number_of_threads() -> None:
    from tests.collector.pipeline.test_encoder import make_call

    queue, one = BoundedQueue(1000, 10**9), make_call(SESSION)
    taken: list[int] = []

    def put() -> None:
        for _ in range(2000):
            queue.put(one, 1)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.append(len(queue.take(100, 10**9)))
        assert len(queue) <= 1000
    while got := len(queue.take(100, 10**9)):
        taken.append(got)
    assert sum(taken) + queue.dropped == 16_000
    assert queue.bytes == 0


def test_an_idle_collector_still_sends_heartbeats(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make(heartbeat_s=0.1)
    call(pipeline)
    wait_until(lambda: len(log.scopes(names.SCOPE_HEARTBEAT)) >= 3)
    assert log.count_dropped() == {}


def test_values_stay_below_the_brokers_message_limit(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make(flush_interval_s=0.2, queue_bytes=100_000_000)
    for at in range(600):
        call(pipeline, f"SELECT {', '.join(f'column_{at}_{n}' for n in range(500))}")
    assert pipeline.flush(10)
    assert len(log.spans()) == 600
    assert max(len(message.value) for message in log.messages) <= 900_000


def test_a_call_of_the_app_on_the_collectors_thread_is_recorded(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    publish, handled = log.publish, list[str]()

    def publish_and_log(*args: Any) -> None:
        if not handled:
            handled.append(threading.current_thread().name)
            call(pipeline, "INSERT INTO log VALUES (1)")  # a logging handler of the app's
        publish(*args)

    log.publish = publish_and_log  # pyright: ignore[reportAttributeAccessIssue]
    call(pipeline)
    wait_until(lambda: len(log.spans()) == 2)
    assert handled == ["backwatch"]
    assert sorted(span.name for span in log.spans()) == ["INSERT", "SELECT"]


def test_the_streams_own_connection_is_no_call_of_the_apps(make: MakePipeline, tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    pipeline = make(lambda: open_publisher(settings))
    probe = SQLiteProbe()
    probe.instrument(recorder=pipeline, skip_dep_check=True)
    try:
        connection = sqlite3.connect(tmp_path / "app.db")
        for _ in range(3):
            connection.execute("SELECT 1").fetchall()
            assert pipeline.flush(10)
        connection.close()
    finally:
        probe.uninstrument()
    assert pipeline.flush(10)
    stream = sqlite3.connect(tmp_path / "stream.db")
    delivered = Counter[str]()
    for (value,) in stream.execute("SELECT value FROM record"):
        for of_app in ExportTraceServiceRequest.FromString(value).resource_spans:
            delivered.update(span.name for scope in of_app.scope_spans for span in scope.spans)
    assert delivered == {"connect": 1, "SELECT": 3, "FETCH": 3}


def test_who_calls_is_taken_when_a_call_begins_that_ends_elsewhere(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    caller = pipeline.capture_caller()
    session = Session(system="kafka", address="broker", port=9092)
    ending = threading.Thread(
        target=lambda: pipeline.record_call(
            session, "send", statement="send orders", start_ns=time.time_ns(), caller=caller
        )
    )
    ending.start()
    ending.join()
    assert pipeline.flush(10)
    (span,) = log.spans()
    assert (
        read_attributes(span.attributes)["code.function.name"]
        == "test_who_calls_is_taken_when_a_call_begins_that_ends_elsewhere"
    )


def test_a_call_by_the_garbage_collector_inside_a_call_does_not_deadlock(make: MakePipeline) -> None:
    pipeline = make()

    class Closing:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            call(pipeline, "ROLLBACK")

    gc.set_threshold(1)
    try:
        for _ in range(200):
            Closing()
            call(pipeline)
    finally:
        gc.set_threshold(700, 10, 10)
    assert pipeline.flush(10)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there is nothing to hold off")
def test_a_signal_that_the_app_blocks_is_not_delivered_to_the_worker(make: MakePipeline) -> None:
    held_off, before = set[int](), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    class MaskReporting(MemoryStream):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            held_off.update(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    pipeline = make(MaskReporting)
    call(pipeline)
    assert pipeline.flush(5)
    assert held_off >= {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1}
    assert not held_off & {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}  # or faulthandler is mute
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


BRIEF = """
from backwatch.collector.bootstrap import start
start.start()
import sqlite3
sqlite3.connect(":memory:").close()
"""


def test_app_that_ends_before_the_first_batch_delivers_its_calls(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    environment = os.environ | {"BACKWATCH_STREAM_URL": settings.url, "BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S": "30"}
    done = subprocess.run(
        [sys.executable, "-c", BRIEF], capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "detector")) as consumer:
        record, _ = consumer.poll(5)  # and a heartbeat, its first and last
    assert b"sqlite" in record.value


def test_dropped_records_are_freed() -> None:
    def used() -> "weakref.ref[Worker]":
        pipeline = Pipeline(CollectorSettings(**QUICK), MemoryStream)
        call(pipeline)
        worker = weakref.ref(next(iter(pipeline._processes.values())).worker)
        pipeline.close()
        return worker

    def freed() -> bool:
        gc.collect()
        return {None} == {worker() for worker in workers}

    workers = [used() for _ in range(20)]
    wait_until(freed)  # the frame of a thread that has just ended may hold one
