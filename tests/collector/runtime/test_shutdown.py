"""Exit hooks before a process ends itself by a signal; ``test_run.py`` checks their delivery."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime import shutdown
from backwatch.collector.settings import CollectorSettings
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import QUICK, call

ORIGINAL = signal.raise_signal


def find_ending_signal(run: Callable[[], None]) -> int:
    """Return the signal that ended a child that runs this; 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_a_signal_inside_the_queue_lock_still_ends_the_process_in_time() -> None:
    def run() -> None:
        lock = threading.Lock()
        shutdown.run_before_fatal_signal(lock.acquire, 0.3)
        with lock:
            signal.raise_signal(signal.SIGTERM)

    began = time.monotonic()
    assert find_ending_signal(run) == signal.SIGTERM
    assert time.monotonic() - began < 10


def test_every_exit_hook_runs_even_if_one_fails() -> None:
    read, write = os.pipe()

    def run() -> None:
        shutdown.run_before_fatal_signal(lambda: 1 // 0, 1.0)
        shutdown.run_before_fatal_signal(lambda: os.write(write, b"called"), 5.0)
        signal.raise_signal(signal.SIGTERM)

    assert find_ending_signal(run) == signal.SIGTERM
    os.close(write)
    assert os.read(read, 100) == b"called"
    os.close(read)


def test_the_function_can_be_pickled_and_is_restored_after_the_last_callback() -> None:
    def tell() -> None:
        pass

    before = signal.raise_signal
    shutdown.run_before_fatal_signal(tell, 1.0)
    assert pickle.loads(pickle.dumps(signal.raise_signal)) is signal.raise_signal
    shutdown.cancel_before_fatal_signal(tell)
    assert signal.raise_signal is before


def test_a_wrapper_of_raise_signal_is_called_once() -> None:
    def tell() -> None:
        pass

    def run() -> None:
        shutdown.run_before_fatal_signal(tell, 1.0)
        before = signal.raise_signal
        signal.raise_signal = lambda number, /: before(number)
        shutdown.cancel_before_fatal_signal(tell)
        shutdown.run_before_fatal_signal(tell, 1.0)
        signal.raise_signal(signal.SIGTERM)

    assert find_ending_signal(run) == signal.SIGTERM


GREEN = """
import gevent.monkey
gevent.monkey.patch_all()
import signal
from backwatch.collector.runtime import shutdown
shutdown.run_before_fatal_signal(lambda: print("called", flush=True), 5)
signal.raise_signal(signal.SIGTERM)
print("alive")
"""


def test_a_greenlet_at_shutdown_lets_the_signal_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", GREEN], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "called\n"), done.stderr


@pytest.fixture
def no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "_hooks", [])


def test_calls_held_back_by_a_probe_are_delivered(no_hooks: None) -> None:
    log, kept = MemoryStream(), ["SELECT kept"]
    pipeline = Pipeline(CollectorSettings(app_name="shop", exit_timeout_s=20), lambda: log)
    shutdown.add_hook(lambda: kept and call(pipeline, kept.pop()))
    pipeline.close()
    pipeline.close()
    assert [span.name for span in log.spans()] == ["SELECT"]


def test_an_end_with_nothing_to_tell_begins_nothing(no_hooks: None) -> None:
    opened, hook_calls = list[MemoryStream](), list[bool]()
    pipeline = Pipeline(CollectorSettings(**QUICK), lambda: opened.append(MemoryStream()) or opened[-1])
    shutdown.add_hook(lambda: hook_calls.append(True))
    pipeline.close()
    assert (bool(hook_calls), opened) == (True, [])


LAST = """
import signal, sys, time
from backwatch.collector.runtime import shutdown
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Publisher

class PrintingStream(Publisher):
    def publish(self, topic, messages, timeout_s):
        calls = [one.value for one in messages if b"backwatch.heartbeat" not in one.value]
        print("called", [b"kept" in one for one in calls], flush=True)

    def close(self, timeout_s):
        pass

pipeline = Pipeline(CollectorSettings(app_name="shop", exit_timeout_s=20), PrintingStream)
kept = [True]
shutdown.add_hook(
    lambda: kept and kept.pop() and pipeline.record_call(Session(system="mysql"), "", start_ns=1, sql="SELECT kept")
)
if "signal" in sys.argv:
    signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize(("way", "code"), [("exit", 0), ("signal", -signal.SIGTERM)])
def test_pending_records_are_delivered_at_any_kind_of_exit(way: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", LAST, way], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (code, "called [True]\n", "")
