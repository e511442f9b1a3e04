"""Guarantees of the worker's thread to waiting threads."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from backwatch.collector.pipeline.app_identity import App, identify
from backwatch.collector.pipeline.queue import BoundedQueue
from backwatch.collector.pipeline.worker import Worker
from backwatch.collector.runtime.record import Call, Session
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message, Publisher, StreamUnavailable
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import QUICK

CALL = Call(
    session=Session(system="postgresql"), operation="SELECT", text="SELECT 1", sql=True, signs="", kind=3, site=None,
    route="", start_ns=1, end_ns=2, trace_id=1, span_id=1, parent_id=0, bytes_sent=-1, bytes_received=-1,
    bytes_estimated=False, rows_returned=-1, rows_affected=-1, error="", facts=(),
)  # fmt: skip


class Held(Publisher):
    """A stream that blocks until it is released."""

    def __init__(self) -> None:
        self.came, self.let = threading.Event(), threading.Event()

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        self.came.set()
        assert self.let.wait(20)

    def close(self, timeout_s: float) -> None:
        pass


def test_flush_sees_a_turn_that_begins_during_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, queue, length = Held(), BoundedQueue(10, 10_000), BoundedQueue.__len__
    worker = Worker(CollectorSettings(app_name="shop", flush_interval_s=0.5), queue, lambda: publisher)
    waiter = threading.get_ident()

    def slow(self: BoundedQueue) -> int:
        if threading.get_ident() == waiter:
            assert publisher.came.wait(20)  # the worker takes all records while the waiter checks their number
        return length(self)

    worker.start()
    queue.put(CALL, 100)
    monkeypatch.setattr(BoundedQueue, "__len__", slow)
    assert not worker.flush(0.1)
    publisher.let.set()
    assert worker.flush(20)
    worker.stop(5)


def test_a_flush_does_not_wait_for_calls_to_gather() -> None:
    log, queue = MemoryStream(), BoundedQueue(10, 10_000)
    worker = Worker(CollectorSettings(app_name="shop", flush_interval_s=1000.0), queue, lambda: log)
    worker.start()
    queue.put(CALL, 100)
    assert worker.flush(20)
    assert len(log.spans()) == 1
    worker.stop(20)


def test_a_flush_does_not_wait_for_a_try_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backwatch.collector.pipeline.worker.FIRST_PAUSE_S", 1000.0)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.MAX_PAUSE_S", 1000.0)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.LAST_TRY_S", 20.0)
    log, queue = MemoryStream(), BoundedQueue(10, 10_000)
    log.failing = StreamUnavailable("away")
    worker = Worker(CollectorSettings(**QUICK), queue, lambda: log)
    worker.start()
    queue.put(CALL, 100)
    began = time.monotonic()
    assert not worker.flush(100)
    assert time.monotonic() - began < 50
    log.failing = None
    worker.stop(20)
    assert len(log.spans()) == 1


def test_calls_lost_by_a_fault_before_encoding_are_all_counted(
    monkeypatch: pytest.MonkeyPatch, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    log, queue, asked = MemoryStream(), BoundedQueue(1000, 10**6), list[str]()

    def fails_once(fallback: str) -> App:
        asked.append(fallback)
        if len(asked) == 1:
            raise LookupError("a resource detector of the app's")
        return identify(fallback)

    monkeypatch.setattr("backwatch.collector.pipeline.worker.identify", fails_once)
    worker = Worker(CollectorSettings(**QUICK), queue, lambda: log)
    for _ in range(100):
        queue.put(CALL, 100)
    worker.start()
    assert worker.flush(20)
    worker.stop(20)
    assert [name for name, _ in swallowed_faults] == ["Worker._turn"]
    assert (log.count_dropped()["encode"], len(log.spans())) == (100, 0)


@pytest.mark.parametrize("alone", [0, 1])
def test_a_fault_in_the_midst_of_encoding_counts_no_call_twice(
    alone: int, monkeypatch: pytest.MonkeyPatch, swallowed_faults: list[tuple[str, BaseException]]
) -> None:
    log, queue = MemoryStream(), BoundedQueue(1000, 10**6)

    def encode(_: App, calls: Sequence[Call]) -> bytes:
        if len(calls) > 1 or not alone:
            raise ValueError
        raise MemoryError

    monkeypatch.setattr("backwatch.collector.pipeline.worker.encode_calls", encode)
    worker = Worker(CollectorSettings(**QUICK), queue, lambda: log)
    for _ in range(4):
        queue.put(CALL, 100)
    worker.start()
    assert worker.flush(20)
    worker.stop(20)
    assert (log.count_dropped()["encode"], len(swallowed_faults)) == (4, alone)


GREEN = """
import gevent.monkey
gevent.monkey.patch_all()
import os, sys, time
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Publisher

def tell(line):
    os.write(1, f"{'parent' if os.getpid() == parent else 'child'} {line}\\n".encode())

class PrintingStream(Publisher):
    def __init__(self):
        self.made = os.getpid()

    def publish(self, topic, messages, timeout_s):
        for message in messages:
            for word in (b"before_the_fork", b"at_the_fork", b"after_the_fork"):
                if word in message.value:
                    tell(f"sends {word.decode()}")

    def close(self, timeout_s):
        tell(f"closes {'its own' if self.made == os.getpid() else 'the wrong one'}")

def call(text):
    pipeline.record_call(Session(system="postgresql"), "", start_ns=1, sql=f"SELECT {text}")

parent = os.getpid()
pipeline = Pipeline(CollectorSettings(flush_interval_s=0.3, app_name="shop"), PrintingStream)
call("before_the_fork")
assert pipeline.flush(20)
call("at_the_fork")
time.sleep(0)
child = os.fork()
if child == 0:
    if "calls" in sys.argv:
        call("after_the_fork")
    time.sleep(1)
    pipeline.close()
    os._exit(0)
os.waitpid(child, 0)
pipeline.close()
"""
"""As an app that gunicorn preloads: gevent patches before the fork, and a fork copies greenlets."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("calls", [True, False])
def test_a_copied_worker_in_a_greenlet_child_delivers_and_closes_nothing(calls: bool) -> None:
    command = [sys.executable, "-c", GREEN, "calls" if calls else ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in lines if line.startswith("child")] == (
        ["child sends after_the_fork", "child closes its own"] if calls else []
    )
    assert [line for line in lines if line.startswith("parent")] == [
        "parent sends before_the_fork", "parent sends at_the_fork", "parent closes its own",
    ]  # fmt: skip
