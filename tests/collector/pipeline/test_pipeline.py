"""The pipeline has no effect on the app: bounds, forks, exits, a stream that is away."""

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.pipeline.queue import BoundedQueue
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, SettingError, StreamSettings
from backwatch.collector.stream import Message, MessageRefused, Publisher, StreamUnavailable
from backwatch.collector.stream.factory import open_consumer, open_publisher

if TYPE_CHECKING:
    from backwatch.collector.pipeline.worker import Worker

BY_ITSELF = "BACKWATCH_TEST_BY_ITSELF"
SESSION = Session(system="postgresql", address="db", port=5432, namespace="shop")
QUICK: dict[str, Any] = {"flush_interval_s": 0.01, "heartbeat_s": 3600.0, "exit_timeout_s": 1.0, "app_name": "shop"}


class Log(Publisher):
    """A stream in memory that can be made to fail."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failing: Exception | None = None
        self.tries = 0

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        assert topic == names.TOPIC_CALLS
        self.tries += 1
        if self.failing is not None:
            raise self.failing
        self.messages += messages

    def close(self, timeout_s: float) -> None:
        pass

    def scopes(self, name: str) -> list[ScopeSpans]:
        requests = [ExportTraceServiceRequest.FromString(message.value) for message in self.messages]
        found = [scope for one in requests for resource in one.resource_spans for scope in resource.scope_spans]
        return [scope for scope in found if scope.scope.name == name]

    def spans(self) -> list[Span]:
        return [span for scope in self.scopes(names.SCOPE_CALLS) for span in scope.spans]

    def dropped(self) -> dict[str, int]:
        """Return the sum of the drops in all heartbeats."""
        total: dict[str, int] = {}
        for scope in self.scopes(names.SCOPE_HEARTBEAT):
            for one in scope.scope.attributes:
                if one.key.startswith(names.DROPPED_PREFIX):
                    kind = one.key.removeprefix(names.DROPPED_PREFIX)
                    total[kind] = total.get(kind, 0) + one.value.int_value
        return total


@pytest.fixture(autouse=True)
def _no_faults_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(guard, "faults", 0)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def make(log: Log) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(opener: Callable[[], Publisher] | None = None, **changed: Any) -> Pipeline:
        made.append(Pipeline(CollectorSettings(**{**QUICK, **changed}), opener or (lambda: log)))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()


def call(pipeline: Pipeline, sql: object = "SELECT 1", **more: Any) -> None:
    pipeline.record_call(SESSION, "", start_ns=time.time_ns() - 1000, sql=sql, **more)


def read_facts(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_call_arrives_redacted_with_its_facts_and_its_caller(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make()
    call(
        pipeline, "SELECT name FROM users WHERE id = 'secret' OR 1=1 -- x", rows_returned=3, error=ValueError("secret"),
        facts=(("a.b", 5),),
    )  # fmt: skip
    assert pipeline.flush(5)
    (span,) = log.spans()
    facts = read_facts(span)
    assert "secret" not in str(span)
    assert (
        span.name,
        facts[names.ROWS_RETURNED],
        facts["a.b"],
        facts[names.ERROR_TYPE],
    ) == ("SELECT", 3, 5, "ValueError")
    assert "tautology" in facts[names.QUERY_SIGNS].split(",")
    assert facts[names.CODE_FUNCTION] == "call"
    assert facts[names.CODE_FILE].endswith("test_pipeline.py")
    assert log.messages[0].key == b"shop"
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 10**9


def test_indicators_of_an_error_text_are_reported_without_the_text(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make()
    error = RuntimeError("hunter2 is no password\x1b[2K\rOK")
    pipeline.record_call(SESSION, "SELECT", start_ns=time.time_ns(), sql="SELECT 1", error=error)
    assert pipeline.flush(5)
    (span,) = log.spans()
    attributes = {one.key: one.value.string_value for one in span.attributes}
    assert attributes[names.RESPONSE_INDICATORS] == "terminal-escape,control-character"
    assert attributes[names.ERROR_TYPE] == "RuntimeError"
    assert b"hunter2" not in b"".join(message.value for message in log.messages)


def test_a_call_belongs_to_the_apps_trace_even_where_nothing_is_sampled(
    make: Callable[..., Pipeline], log: Log
) -> None:
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


def test_the_route_of_the_apps_own_span_is_reported(make: Callable[..., Pipeline], log: Log) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    pipeline = make()
    with TracerProvider().get_tracer("app").start_as_current_span("GET", attributes={"http.route": "/orders/{id}"}):
        call(pipeline)
    assert pipeline.flush(5)
    assert read_facts(log.spans()[0])[names.HTTP_ROUTE] == "/orders/{id}"


def test_no_thread_runs_before_the_first_call(make: Callable[..., Pipeline]) -> None:
    def ours() -> int:
        return sum(thread.name == "backwatch" for thread in threading.enumerate())

    before = ours()
    pipeline = make()
    assert before == ours()
    call(pipeline)
    assert before + 1 == ours()


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


def test_without_a_stream_calls_continue_and_every_drop_is_reported_later(
    make: Callable[..., Pipeline], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backwatch.collector.pipeline.worker.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.MAX_PAUSE_S", 0.05)
    log.failing = StreamUnavailable("away")
    pipeline = make(queue_records=600)
    slowest = 0.0
    for _ in range(3000):
        began = time.perf_counter()
        call(pipeline)
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.5
    dropped = pipeline.count_dropped()
    assert dropped >= 3000 - 600 - 512
    log.failing = None
    assert pipeline.flush(10)
    wait_for(lambda: log.dropped().get("queue") == dropped)
    assert 3000 - dropped == len(log.spans())


def test_a_drop_count_that_was_not_delivered_is_sent_again(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make(queue_records=1, flush_interval_s=0.3)
    for _ in range(50):
        call(pipeline)
    assert pipeline.count_dropped() == 49
    log.failing = StreamUnavailable("away")
    wait_for(lambda: log.tries > 0)
    log.failing = None
    pipeline.close()
    assert log.dropped() == {"queue": 49}


def test_an_idle_collector_still_sends_heartbeats(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make(heartbeat_s=0.1)
    call(pipeline)
    wait_for(lambda: len(log.scopes(names.SCOPE_HEARTBEAT)) >= 3)
    assert log.dropped() == {}


def test_the_collectors_faults_are_counted_and_reported(
    make: Callable[..., Pipeline], log: Log, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    pipeline = make()
    call(pipeline)
    pipeline.record_call(None, "x", start_ns=1)  # pyright: ignore[reportArgumentType]  a probe's bug
    pipeline.record_call(SESSION, None, start_ns=1)  # pyright: ignore[reportArgumentType]
    assert len(swallowed_faults) == 1
    call(pipeline, "SELECT 2")
    pipeline.close()
    assert log.dropped() == {"probe": 1, "encode": 1}
    assert len(log.spans()) == 2


def test_a_value_that_the_stream_refuses_is_dropped_and_counted(make: Callable[..., Pipeline], log: Log) -> None:
    log.failing = MessageRefused("too large")
    pipeline = make(flush_interval_s=0.05)
    call(pipeline)
    wait_for(lambda: log.tries > 0)
    log.failing = None
    call(pipeline)
    pipeline.close()
    assert log.dropped() == {"publish": 1}
    assert len(log.spans()) == 1


def test_stream_that_refuses_heartbeats_is_not_retried_in_a_loop(
    make: Callable[..., Pipeline], log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.failing = MessageRefused("too large")
    pipeline = make(flush_interval_s=0.05)
    call(pipeline)
    wait_for(lambda: log.tries > 0)
    time.sleep(2.5)
    pipeline.close()
    assert log.tries <= 6
    assert len([one for one in caplog.messages if "too large" in one]) == 1


def test_an_unforeseen_client_failure_does_not_stop_the_worker(
    make: Callable[..., Pipeline], log: Log, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    log.failing = KeyError("a bug in the client")
    pipeline = make()
    call(pipeline)
    wait_for(lambda: len(swallowed_faults) > 0)
    log.failing = None
    call(pipeline)
    pipeline.close()
    assert len(log.spans()) == 1
    assert log.dropped()["publish"] == 1


def test_a_forbidden_stream_is_reported_once_and_costs_nothing(
    make: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> Publisher:
        raise SettingError("BACKWATCH_STREAM_URL='kafka://db:9092': no")

    pipeline = make(refused, queue_records=10)
    for _ in range(100):
        call(pipeline)
    pipeline.close()
    assert sum("BACKWATCH_STREAM_URL" in record.message for record in caplog.records) == 1


def test_values_stay_below_the_brokers_message_limit(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make(flush_interval_s=0.2, queue_bytes=100_000_000)
    for at in range(600):
        call(pipeline, f"SELECT {', '.join(f'column_{at}_{n}' for n in range(500))}")
    assert pipeline.flush(10)
    assert len(log.spans()) == 600
    assert max(len(message.value) for message in log.messages) <= 900_000


def test_a_call_of_the_app_on_the_collectors_thread_is_recorded(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make()
    publish, handled = log.publish, list[str]()

    def publish_and_log(*args: Any) -> None:
        if not handled:
            handled.append(threading.current_thread().name)
            call(pipeline, "INSERT INTO log VALUES (1)")  # a logging handler of the app's
        publish(*args)

    log.publish = publish_and_log  # pyright: ignore[reportAttributeAccessIssue]
    call(pipeline)
    wait_for(lambda: len(log.spans()) == 2)
    assert handled == ["backwatch"]
    assert sorted(span.name for span in log.spans()) == ["INSERT", "SELECT"]


def test_the_streams_own_connection_is_no_call_of_the_apps(make: Callable[..., Pipeline], tmp_path: Path) -> None:
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
    names_told = Counter[str]()
    for (value,) in stream.execute("SELECT value FROM record"):
        for of_app in ExportTraceServiceRequest.FromString(value).resource_spans:
            names_told.update(span.name for scope in of_app.scope_spans for span in scope.spans)
    assert names_told == {"connect": 1, "SELECT": 3, "FETCH": 3}


def test_who_calls_is_taken_when_a_call_begins_that_ends_elsewhere(make: Callable[..., Pipeline], log: Log) -> None:
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
    assert read_facts(span)["code.function.name"] == "test_who_calls_is_taken_when_a_call_begins_that_ends_elsewhere"


def test_a_call_by_the_garbage_collector_inside_a_call_does_not_deadlock(make: Callable[..., Pipeline]) -> None:
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
def test_a_signal_that_the_app_blocks_is_not_delivered_to_the_worker(make: Callable[..., Pipeline]) -> None:
    held_off, before = set[int](), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    class Telling(Log):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            held_off.update(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    pipeline = make(Telling)
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


def test_an_app_that_ends_before_our_first_batch_delivers_its_calls(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    environment = os.environ | {"BACKWATCH_STREAM_URL": settings.url, "BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S": "30"}
    done = subprocess.run(
        [sys.executable, "-c", BRIEF], capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "detector")) as consumer:
        record, _ = consumer.poll(5)  # and a heartbeat, its first and last
    assert b"sqlite" in record.value


def in_child(run: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run()
            code = 0
        finally:
            os._exit(code)
    return child


def exit_code(child: int, timeout_s: float = 10) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 999


@pytest.mark.timeout(600)  # fifteen seconds on an idle machine; each child has ten, and that is the claim
def test_five_hundred_forks_under_load_all_deliver_their_own_calls(
    make: Callable[..., Pipeline], request: pytest.FixtureRequest
) -> None:
    if BY_ITSELF not in os.environ:
        # A fork's cost depends on the size of the process: one that has run a thousand tests is no app.
        inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
        env = {**os.environ, BY_ITSELF: "1"}
        done = subprocess.run(inner, cwd=request.config.rootpath, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stdout[-3_000:]
        return

    reader, writer = os.pipe()

    class Pipe(Publisher):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            for message in messages:
                if b"in_the_child" in message.value:
                    os.write(writer, b"%d\n" % os.getpid())

        def close(self, timeout_s: float) -> None:
            pass

    pipeline = make(Pipe, queue_records=100_000)
    done = threading.Event()

    def hammer() -> None:
        while not done.is_set():
            call(pipeline)
            time.sleep(0)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()

    def one_call() -> None:
        call(pipeline, "SELECT in_the_child")
        assert pipeline.flush(8)

    try:
        children = []
        for _ in range(500):
            child = in_child(one_call)
            children.append(child)
            assert exit_code(child) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
    os.close(writer)
    with os.fdopen(reader) as pipe:
        reported = Counter(int(line) for line in pipe)
    assert (Counter(children) - reported, reported - Counter(children)) == (
        Counter(),
        Counter(),
    )  # missing, and too much


def test_a_fork_that_runs_no_hooks_begins_anew_as_well(make: Callable[..., Pipeline], log: Log) -> None:
    pipeline = make()
    call(pipeline)
    assert pipeline.flush(5)
    process = next(iter(pipeline._processes.values()))
    pipeline._processes = {os.getpid() + 1: process}  # as uWSGI's child finds it
    call(pipeline, "SELECT anew")
    assert pipeline.flush(5)
    assert [process] != list(pipeline._processes.values())
    assert len(log.spans()) == 2


def test_children_do_not_repeat_their_parents_random_numbers(make: Callable[..., Pipeline]) -> None:
    pipeline = make()
    call(pipeline)
    reader, writer = os.pipe()

    def tell() -> None:
        call(pipeline)
        process = next(iter(pipeline._processes.values()))
        os.write(writer, b"%d\n" % process.random_bits(64))

    for _ in range(3):
        assert exit_code(in_child(tell)) == 0
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert len({*pipe}) == 3


def test_dropped_records_are_freed() -> None:
    def used() -> "weakref.ref[Worker]":
        pipeline = Pipeline(CollectorSettings(**QUICK), Log)
        call(pipeline)
        worker = weakref.ref(next(iter(pipeline._processes.values())).worker)
        pipeline.close()
        return worker

    def freed() -> bool:
        gc.collect()
        return {None} == {worker() for worker in workers}

    workers = [used() for _ in range(20)]
    wait_for(freed)  # the frame of a thread that has just ended may hold one


def test_early_faults_are_reported_and_not_repeated_by_a_child(make: Callable[..., Pipeline], log: Log) -> None:
    guard.faults = 5
    pipeline = make()

    def tell() -> None:
        call(pipeline)
        pipeline.close()
        assert log.dropped() == {}

    assert exit_code(in_child(tell)) == 0
    call(pipeline)
    pipeline.close()
    assert log.dropped() == {"probe": 5}
