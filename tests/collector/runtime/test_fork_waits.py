"""A fork waits while a thread of the collector imports, writes, collects garbage or takes a step."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector.runtime import forks
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, sqlite
from backwatch.collector.stream.factory import open_consumer, open_publisher

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")


IMPORTS = """
import os, sys, threading, time
from backwatch.collector.runtime import forks
from backwatch.collector.bootstrap import start

class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            found.append((name, forks._fork_lock._is_owned()))

found = []
sys.meta_path.insert(0, Finder())
start.start()
import sqlite3
sqlite3.connect(":memory:").execute("SELECT 1")
delivered = start.start_pipeline().flush(float(sys.argv[1]))
print(delivered, len(found) > 1, [name for name, hold_forks in found if not hold_forks])
"""


@pytest.mark.parametrize(
    ("url", "patience_s", "delivers"),
    [("sqlite:///{folder}/stream.db", 20, True), ("kafka://127.0.0.1:9", 8, False)],
    ids=["sqlite", "kafka"],
)
def test_forks_wait_for_all_that_our_thread_imports(
    url: str, patience_s: float, delivers: bool, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(patience_s)], capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"BACKWATCH_STREAM_URL": url.format(folder=tmp_path)},
    )  # fmt: skip
    assert done.stdout == f"{delivers} True []\n", done.stderr


def publishes(settings: StreamSettings) -> threading.Thread:
    """Append one message, on a separate thread."""
    publisher = open_publisher(settings)

    def publish() -> None:
        publisher.publish("calls", [Message(b"one")], 30)
        publisher.close(1)

    thread = threading.Thread(target=publish)
    thread.start()
    return thread


def test_a_fork_waits_for_a_write_to_the_embedded_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = threading.Event(), threading.Event()
    append = sqlite._append

    def slowly(*args: Any) -> None:
        begun.set()
        time.sleep(0.5)
        append(*args)
        over.set()

    monkeypatch.setattr(sqlite, "_append", slowly)
    thread = publishes(StreamSettings(url=f"sqlite:///{tmp_path}/stream.db"))
    assert begun.wait(10)
    fork()
    assert over.is_set()
    thread.join()


def test_no_fork_waits_while_we_wait_for_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 60.0)  # a fork of a process that ran a thousand tests takes its time
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    open_publisher(settings).close(1)
    with closing(sqlite3.connect(tmp_path / "stream.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        thread = publishes(settings)
        begin = time.monotonic()
        for _ in range(3):
            fork()
        assert time.monotonic() - begin < 3 * forks.MAX_WAIT_S  # three would have waited so long, one each
        assert thread.is_alive()
        other.execute("COMMIT")
        thread.join()
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [one.value for one in consumer.poll(5)] == [b"one"]


COLLECTING = """
import gc, os, sys, threading, time
from backwatch.collector.runtime import forks, gc_passes

lock = threading.Lock()  # a library's, which no fork puts right
begun = threading.Event()

class Connection:
    def __init__(self):
        self.itself = self
    def __del__(self):
        with lock:
            begun.set()
            time.sleep(1)

def collect():
    if sys.argv[1] == "own":
        gc_passes.enter_thread()
    gc.collect()
    gc_passes.leave_thread()

gc.collect()
gc.disable()
Connection()
thread = threading.Thread(target=collect)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    os._exit(lock.locked())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
print(gc_passes._note in gc.callbacks)
"""


@pytest.mark.parametrize(("thread", "held"), [("own", 0), ("other", 1)])
def test_fork_waits_for_the_garbage_collector_on_a_collectors_thread(thread: str, held: int) -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTING, thread], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{held}\nFalse\n", "")


STEP = """
import logging, os, socket, sys, threading, time
from backwatch.collector.runtime import forks, gc_passes, guard
from backwatch.collector.stream.kafka_net import get_direct_url
from kafka.net.inet import KafkaNetSocket

lock = threading.Lock()  # the C library's, or a stream's in use: no fork puts it right
begun = threading.Event()
step, duration_s = sys.argv[1], float(sys.argv[2])

def take(*_):
    with lock:
        begun.set()
        time.sleep(duration_s)
    return []

class Handler(logging.Handler):
    emit = take

socket.getaddrinfo = take
logging.getLogger("backwatch").addHandler(Handler())

def work():
    gc_passes.enter_thread()
    if step == "look-up":
        KafkaNetSocket(get_direct_url()).dns_lookup("broker", 9092)
    else:
        guard.log("a line")

threading.Thread(target=work, daemon=True).start()
begun.wait()
begin = time.monotonic()
child = os.fork()
if child == 0:
    os._exit(lock.locked())
held = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(held, time.monotonic() - begin < 20)
os._exit(0)
"""
"""A thread of the collector takes a step; the app forks in the midst of it."""


@pytest.mark.parametrize(
    ("step", "duration_s", "expected"),
    [("look-up", 0.3, "0 True"), ("line", 0.3, "0 True"), ("look-up", 60.0, "1 True")],
    ids=["look-up", "line", "no answer"],
)
def test_fork_waits_for_a_step_of_the_collectors_thread(step: str, duration_s: float, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP, step, str(duration_s)], capture_output=True, text=True, timeout=90
    )
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


def fork() -> None:
    """Fork a child that exits at once."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
