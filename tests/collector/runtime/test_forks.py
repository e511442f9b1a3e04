"""After a fork the child has everything intact, at any point of the collector's threads."""

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
from tests.services.authority import Authority

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")

FORKS = """
import encodings.idna, os, select, signal, socket, ssl, sys, threading
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.kafka_address import client_options

ca_file, certificate, key, count = sys.argv[1:]
service = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
service.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
serving = os.fork()
if serving == 0:
    while True:
        try:
            with service.wrap_socket(listener.accept()[0], server_side=True) as one:
                one.sendall(b"welcome")
        except OSError:
            pass

context = client_options("kafka://127.0.0.1", StreamSettings(ca_file=ca_file))["ssl_context"]

def whole(one, step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            select.select([one], [], [])

connected = [0]

def connect_for_ever():
    while True:
        with socket.create_connection(listener.getsockname()) as plain:
            plain.setblocking(False)
            with context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False) as one:
                whole(one, one.do_handshake)
                whole(one, one.recv)
                connected[0] += 1

threading.Thread(target=connect_for_ever, daemon=True).start()
hung = 0
try:
    for _ in range(int(count)):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            own = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
            try:
                own.do_handshake()
            except ssl.SSLWantReadError:
                os._exit(0)
        hung += os.waitpid(child, 0)[1] != 0
finally:
    os.kill(serving, signal.SIGKILL)
print(hung, connected[0] > 10, flush=True)
os._exit(0)
"""
"""An app that forks while a thread of the collector connects to brokers repeatedly; each child starts a handshake."""


def test_no_child_waits_for_a_lock_of_a_handshake_at_the_fork(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one = authority.issue("localhost")
    command = [sys.executable, "-c", FORKS, str(authority.ca_file), str(one.certificate_file), str(one.key_file), "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout, done.stderr) == ("0 True\n", "")


NESTED = """
import os, threading, time
respawned = []

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def respawn():
    if not respawned:
        respawned.append(True)
        fork()

os.register_at_fork(before=respawn)  # the later ones run first: ours waits already
from backwatch.collector.runtime import forks

begin = time.monotonic()
fork()
fork()
print(time.monotonic() - begin < forks.MAX_WAIT_S)

def work():
    with forks.hold_forks():
        print("free")

worker = threading.Thread(target=work, daemon=True)
worker.start()
worker.join(30)
"""
"""As a master does whose handler of SIGCHLD starts another worker while it starts one."""


def test_a_fork_in_the_midst_of_a_fork_waits_for_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("True\nfree\n", "")


INTERRUPTED = """
import os, signal, sys, threading, time
from backwatch.collector.runtime import forks

ballast = bytearray(100_000_000)  # a fork takes a millisecond, in which signals come
armed = False

def limit(*_):
    global armed
    if armed:
        armed = False
        raise TimeoutError

signal.signal(signal.SIGALRM, limit)
sys.unraisablehook = lambda _: None  # what a handler raises within a hook is lost: Python's own way
for at in range(200):
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, 0.0003 + at % 10 * 0.0002)
            child = os.fork()
            if child == 0:
                os._exit(0)
        finally:
            armed = False
    except TimeoutError:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

def at_the_end_of_the_stack(depth):
    try:
        at_the_end_of_the_stack(depth + 1)
    except RecursionError:
        child = os.fork()
        if child == 0:
            os._exit(0)
        raise

sys.setrecursionlimit(200)
try:
    at_the_end_of_the_stack(0)
except RecursionError:
    pass
sys.setrecursionlimit(1000)
threading.Thread(target=lambda: print(forks._fork_lock.acquire(timeout=2)), daemon=True).start()
time.sleep(2.5)
"""


def test_raising_handlers_and_full_stacks_leave_no_fork_waiting() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "True\n", done.stderr


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


def fork() -> None:
    """Fork a child that exits at once."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


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


IN_VAIN = """
import os, signal, sys, threading, time
from backwatch.collector.runtime import forks, guard

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "sqlite3.dbapi2":
            cut.set()
            time.sleep(8)

cut = threading.Event()
sys.meta_path.insert(0, Slow())

def load():
    guard.collector_threads.add(threading.get_ident())
    with forks.hold_forks():
        import sqlite3

thread = threading.Thread(target=load)
thread.start()
cut.wait()
begin = time.monotonic()
child = os.fork()
if child == 0:
    signal.alarm(20)
    import sqlite3
    os._exit(sqlite3.connect(":memory:").execute("SELECT 7").fetchone()[0])
waited_s = time.monotonic() - begin
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), waited_s >= forks.MAX_WAIT_S)
thread.join()
"""


def test_child_of_a_fork_that_waited_in_vain_imports_anew() -> None:
    done = subprocess.run([sys.executable, "-c", IN_VAIN], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "7 True\n", done.stderr


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


FIRST_USE = """
import os, signal, sys, threading
from backwatch.collector.runtime import forks, gc_passes

def use():
    gc_passes.enter_thread()
    import slow_module

thread = threading.Thread(target=use, daemon=True)
thread.start()
import slow_signal
slow_signal.importing.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    import slow_module
    os._exit(slow_module.VALUE)
slow_signal.go_on.set()
_, status = os.waitpid(child, 0)
thread.join()
print(status if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"""


def test_a_module_import_interrupted_by_a_fork_is_repeated_in_the_child(tmp_path: Path) -> None:
    (tmp_path / "slow_signal.py").write_text(
        "import os, threading\nimporting, go_on = threading.Event(), threading.Event()\nPARENT = os.getpid()\n"
    )
    (tmp_path / "slow_module.py").write_text(
        "import os, slow_signal\nif os.getpid() == slow_signal.PARENT:\n"
        "    slow_signal.importing.set()\n    slow_signal.go_on.wait()\nVALUE = 7\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "7\n", done.stderr
