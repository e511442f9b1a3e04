"""After a fork the child has everything intact, at any point of the collector's threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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

os.register_at_fork(before=respawn)  # the later ones run first: the collector's waits already
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


IN_VAIN = """
import os, signal, sys, threading, time
from backwatch.collector.runtime import forks, guard

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "sqlite3.dbapi2":
            cut.set()
            time.sleep(6)

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
