"""The collector's thread if the app has hooks on threads, or no thread can be started."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime import guard, internal_threads
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import call
from tests.services.server import Server

THREADS = {"kafka": 2, "sqlite": 1}
"""As docs/operations.md has it."""


def hostile_hook(*_: object) -> None:
    """A trace or profile function with a fault in it."""
    raise ValueError("the hook")


@pytest.fixture
def thread_faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.ExceptHookArgs]]:
    """The reason why threads ended."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    yield found
    threading.settrace(None)  # type: ignore[arg-type]
    threading.setprofile(None)


@pytest.mark.parametrize("install", [threading.settrace, threading.setprofile])
def test_hook_of_the_app_on_threads_does_not_run_on_the_collectors(
    install: Callable[[Any], None], thread_faults: list[threading.ExceptHookArgs]
) -> None:
    log = MemoryStream()
    made = Pipeline(CollectorSettings(flush_interval_s=0.01, exit_timeout_s=1.0), lambda: log)
    install(hostile_hook)
    try:
        call(made)
        assert made.flush(20.0)
    finally:
        install(None)
        made.close()
    assert thread_faults == []
    assert log.scopes(names.SCOPE_HEARTBEAT)


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_hook_set_on_the_running_thread_ends_one_round(
    install: Callable[[Any], None], thread_faults: list[threading.ExceptHookArgs]
) -> None:
    class Hooked(MemoryStream):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            super().publish(topic, messages, timeout_s)
            if self.tries == 1:
                install(hostile_hook)

    log = Hooked()
    made = Pipeline(CollectorSettings(flush_interval_s=0.01, exit_timeout_s=1.0), lambda: log)
    try:
        call(made)
        made.flush(20.0)
        call(made)
        assert made.flush(20.0)
    finally:
        made.close()
    assert thread_faults == []
    assert {name for name, _ in guard.swallowed} <= {"run_isolated", "Worker._turn"}
    guard.swallowed.clear()


@pytest.mark.parametrize("install", [threading.settrace, threading.setprofile])
def test_kafka_stream_delivers_although_a_hook_of_the_app_raises(
    kafka: Server, kafka_topic: Callable[..., str], install: Callable[[Any], None],
    thread_faults: list[threading.ExceptHookArgs],
) -> None:  # fmt: skip
    topic = kafka_topic()
    install(hostile_hook)
    publisher = open_publisher(StreamSettings(url=kafka.url))
    try:
        assert (threading.gettrace() or threading.getprofile()) is hostile_hook
        publisher.publish(topic, [Message(b"one", b"")], 10)
    finally:
        install(None)
        publisher.close(1)
    assert thread_faults == []


@pytest.mark.parametrize("install", [threading.settrace, threading.setprofile])
def test_threads_of_the_app_keep_their_hooks(
    install: Callable[[Any], None], thread_faults: list[threading.ExceptHookArgs]
) -> None:
    seen: list[str] = []

    def hook(_frame: object, event: str, _argument: object) -> None:
        if event == "call":
            seen.append(threading.current_thread().name)

    install(hook)
    with internal_threads.without_hooks(lambda name: name == "driver") as wait_for:
        for name in ("driver", "app"):
            thread = threading.Thread(target=threading.get_ident, name=name)
            thread.start()
            wait_for(thread)
            thread.join()
    assert {*seen} == {"app"}
    assert thread_faults == []


@pytest.mark.parametrize("stream", ["kafka", "sqlite"])
def test_collector_adds_the_daemon_threads_that_operations_names(
    request: pytest.FixtureRequest, tmp_path: Path, stream: str
) -> None:
    url = request.getfixturevalue("kafka").url if stream == "kafka" else f"sqlite:///{tmp_path / 'stream.db'}"
    ensure_topics(StreamSettings(url=url), [names.TOPIC_CALLS])
    before = {*threading.enumerate()}
    made = Pipeline(CollectorSettings(flush_interval_s=0.01), lambda: open_publisher(StreamSettings(url=url)))
    try:
        call(made)
        assert made.flush(30.0)
        added = {*threading.enumerate()} - before
        assert (len(added), [one.name for one in added if not one.daemon]) == (THREADS[stream], [])
    finally:
        made.close()


WITHOUT_THREADS = """
import resource, threading, time
from backwatch.collector import names
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import call
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.settings import CollectorSettings

log = MemoryStream()
made = Pipeline(CollectorSettings(flush_interval_s=0.01, exit_timeout_s=1.0), lambda: log)
threading.stack_size(60 << 20)
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (50 << 20), resource.RLIM_INFINITY))
for _ in range(3):
    call(made)
print(threading.active_count(), flush=True)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
end = time.monotonic() + 20
while not log.scopes(names.SCOPE_HEARTBEAT) and time.monotonic() < end:
    time.sleep(0.1)
    call(made)
print(bool(log.scopes(names.SCOPE_HEARTBEAT)), made.flush(10), made.count_dropped())
made.close()
print(len(log.spans()) >= 4)
"""


def test_process_that_can_start_no_thread_is_heard_once_it_can() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_THREADS], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "True", "True", "0", "True"], done.stderr
    assert done.stderr.count("backwatch") <= 1
