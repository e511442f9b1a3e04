"""Messages that an app receives one by one: recorded together, with none left out at any end of the process."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes.toolkit import messages
from backwatch.collector.probes.toolkit.deferred_flush import defer_flush
from backwatch.collector.probes.toolkit.messages import PendingMessages, flush_due
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream.factory import open_consumer
from tests.collector.memory_stream import MemoryStream
from tests.collector.probes.recording import Recording

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
GATHERING = """
import multiprocessing, os, signal, sys
import {first}
from backwatch.collector.bootstrap import start
from backwatch.collector.probes.toolkit.messages import PendingMessages
from backwatch.collector.runtime.record import Session

def record(one, error):
    start.get_pipeline().record_call(
        Session(system="kafka"), "poll", statement="poll", start_ns=one.start_ns, rows_returned=one.count
    )

gathered = PendingMessages("orders", record)

def take():
    for _ in range(5):
        gathered.add(1, b"x")

"""
"""An app that takes five messages: the first is recorded at once, the others are not."""


@pytest.fixture
def count_messages(tmp_path: Path) -> Callable[[str, str], int]:
    """Run an app, return the number of messages in the stream."""

    def count_messages(app: str, first: str) -> int:
        (tmp_path / "app.py").write_text(GATHERING.format(first=first) + app)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db",
            "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of a fork beside threads
        }  # fmt: skip
        command = [str(Path(sys.executable).parent / "backwatch"), "run", "--", sys.executable, "app.py"]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert (ran.returncode, ran.stderr) == (0, "")
        settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
        with closing(open_consumer(settings, names.TOPIC_CALLS, "test")) as consumer:
            requests = [ExportTraceServiceRequest.FromString(record.value) for record in consumer.poll(0)]
        scopes = [scope for one in requests for resource in one.resource_spans for scope in resource.scope_spans]
        facts = [fact for scope in scopes for span in scope.spans for fact in span.attributes]
        return sum(fact.value.int_value for fact in facts if fact.key == names.ROWS_RETURNED)

    return count_messages


def make_pending(recorded: list[int], name: str = "orders") -> PendingMessages:
    return PendingMessages(name, lambda one, _error: recorded.append(one.count))


# --- where a process ends ---


@pytest.mark.parametrize("first", ["sqlite3", "confluent_kafka", "aiokafka"])
def test_all_are_recorded_in_either_order_of_drivers(count_messages: Callable[[str, str], int], first: str) -> None:
    assert count_messages("take()", first) == 5


@forking
def test_all_are_recorded_of_a_child_of_multiprocessing(count_messages: Callable[[str, str], int]) -> None:
    app = 'child = multiprocessing.get_context("fork").Process(target=take)\nchild.start()\nchild.join()'
    assert count_messages(app, "confluent_kafka") == 5


@forking
def test_all_are_recorded_where_a_signal_ends_the_process(count_messages: Callable[[str, str], int]) -> None:
    app = "if os.fork() == 0:\n    take()\n    signal.raise_signal(signal.SIGTERM)\nos.wait()"
    assert count_messages(app, "confluent_kafka") == 5


@forking
def test_a_child_records_nothing_that_its_parent_received(count_messages: Callable[[str, str], int]) -> None:
    app = "take()\nfor _ in range(2):\n    if os.fork() == 0:\n        sys.exit()\n    os.wait()"
    assert count_messages(app, "confluent_kafka") == 5


def test_pending_messages_are_recorded_before_a_pipeline_closes() -> None:
    stream = MemoryStream()
    pipeline = Pipeline(CollectorSettings(heartbeat_s=3600.0), lambda: stream)
    gathered = PendingMessages("orders", lambda one, _error: pipeline.record_call(
        Session(system="nats"), "deliver", statement="deliver", start_ns=1, rows_returned=one.count
    ))  # fmt: skip
    for _ in range(5):
        gathered.add(1, b"x")
    pipeline.close()
    assert sum(one[names.ROWS_RETURNED] for one in stream.calls()) == 5


@forking
@pytest.mark.filterwarnings("ignore:This process")  # it has threads, and that is the point
def test_a_child_begins_anew_while_its_parents_threads_work(now: list[float]) -> None:
    recorded: list[int] = []
    waiting = make_pending(recorded)
    waiting.recorded_at = now[0]
    waiting.add(1, b"x")
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            [make_pending([]) for _ in range(20)]
            messages._living.valuerefs()

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for one in threads:
        one.start()
    try:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                anew = False
                try:
                    kept = len(waiting.samples)
                    waiting.add(1, b"y")
                    messages._flush_all()
                    anew = (kept, recorded, guard.faults) == (0, [1], 0)
                finally:
                    os._exit(0 if anew else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        for one in threads:
            one.join()
    assert (recorded, waiting.count) == ([], 1)


# --- where the source falls silent ---


def test_pending_messages_are_recorded_a_second_after_the_last_record(now: list[float]) -> None:
    recorded: list[int] = []
    gathered = make_pending(recorded)
    for _ in range(3):
        gathered.add(1, b"x")
    due = flush_due([gathered], 0.0)
    assert (recorded, due) == ([1], 1001.0)
    now[0] = 1001.0
    assert flush_due([gathered], due) == messages.NEVER
    assert (recorded, gathered.samples) == ([1, 2], [])


def test_no_source_is_examined_before_its_flush_is_due(now: list[float]) -> None:
    many: Any = None  # which cannot be looked through
    assert flush_due(many, 1000.5) == 1000.5


def test_under_asyncio_the_loop_records_pending_messages_with_their_caller(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    monkeypatch.setattr(messages, "INTERVAL_S", 0.01)
    recorded: list[Any] = []

    async def take() -> None:
        all_recorded = asyncio.Event()

        def record(one: PendingMessages, _error: object) -> None:
            recorded.append((one.count, one.caller))
            if sum(count for count, _ in recorded) == 3:
                all_recorded.set()

        gathered = PendingMessages("orders", record)
        for _ in range(3):
            gathered.add(1, b"x")
            defer_flush(gathered, Recording())
        assert recorded == [(1, None)]
        now[0] += 1.0
        async with asyncio.timeout(30):
            await all_recorded.wait()

    asyncio.run(take())
    assert recorded[1][0] == 2
    assert recorded[1][1].site.function.endswith("take")


def test_the_loop_keeps_nothing_alive_and_is_asked_once(now: list[float]) -> None:
    async def take() -> None:
        gathered = make_pending([])
        loop: Any = asyncio.get_running_loop()
        for _ in range(10):
            gathered.add(1, b"x")
            defer_flush(gathered, Recording())
        assert len(loop._scheduled) == 1
        gone = weakref.ref(gathered)
        del gathered
        gc.collect()
        assert gone() is None

    asyncio.run(take())


def test_a_record_in_between_makes_the_loop_wait_again(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    monkeypatch.setattr(messages, "INTERVAL_S", 0.02)
    recorded: list[Any] = []

    async def take() -> None:
        all_recorded = asyncio.Event()

        def record(one: PendingMessages, _error: object) -> None:
            recorded.append((one.count, one.caller is not None))
            if len(recorded) == 3:
                all_recorded.set()

        gathered = PendingMessages("orders", record)
        for after_s in (0.0, 0.0, 0.03, 0.0):  # the third one takes the second along, while the loop waits for that
            now[0] += after_s
            gathered.add(1, b"x")
            defer_flush(gathered, Recording())
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert recorded == [(1, False), (2, True)]
        now[0] += 1.0
        async with asyncio.timeout(30):
            await all_recorded.wait()

    asyncio.run(take())
    assert recorded == [(1, False), (2, True), (1, True)]


def test_a_fault_does_not_reach_the_loop(now: list[float], swallowed_faults: list[tuple[str, BaseException]]) -> None:
    heard: list[Any] = []

    async def take() -> None:
        failed = asyncio.Event()

        def record(_one: PendingMessages, _error: object) -> None:
            failed.set()
            raise LookupError("a fault of the probe")

        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        gathered = PendingMessages("orders", record)
        gathered.recorded_at = now[0] - 0.99
        gathered.add(1, b"x")
        defer_flush(gathered, Recording())
        now[0] += 1.0
        async with asyncio.timeout(30):
            await failed.wait()

    asyncio.run(take())
    assert [name for name, _ in swallowed_faults] == ["_flush"]
    assert heard == []


def test_without_a_loop_nothing_is_asked_for(now: list[float]) -> None:
    gathered = make_pending([])
    gathered.recorded_at = now[0]
    gathered.add(1, b"x")
    defer_flush(gathered, Recording())
    assert not gathered.is_scheduled
