"""The queue wakes the worker from any stack depth, and during any interruption."""

import signal
import subprocess
import sys
import threading
import time
from typing import Any

from backwatch.collector.pipeline.queue import BoundedQueue, Wakeup


def test_a_wakeup_wakes_once_even_if_set_during_a_wait() -> None:
    bell = Wakeup()
    bell.set()
    bell.set()
    begin = time.monotonic()
    bell.wait(20)
    assert time.monotonic() - begin < 10
    bell.wait(-1)
    bell.wait(0.01)  # it is silent: both come back by themselves
    before = signal.signal(signal.SIGALRM, lambda *_: bell.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)
        for _ in range(100):
            bell.wait(20)
            bell.set()
        assert time.monotonic() - begin < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    bell.set()
    bell.clear()
    begin = time.monotonic()
    bell.wait(0.05)
    assert time.monotonic() - begin > 0.04


AT_ANY_DEPTH = """
import sys
from backwatch.collector.pipeline.queue import BoundedQueue

def down(depth, queue):
    return down(depth - 1, queue) if depth else queue.put("call", 1)

sys.setrecursionlimit(200)
asleep = []
for depth in range(150, 200):
    queue = BoundedQueue(100, 100)
    try:
        down(depth, queue)
    except RecursionError:
        pass
    if len(queue) and not queue.idle and queue.wakeup._silent.locked():
        asleep.append(depth)
print(asleep)
"""


def test_queued_call_wakes_the_worker_at_any_stack_depth() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ANY_DEPTH], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_call_does_not_wait_for_a_thread_stopped_inside_its_call() -> None:
    began, let = threading.Event(), threading.Event()

    class Size(int):
        """Return the size of a call during which a handler runs that waits for the app's other threads."""

        def __radd__(self, held: int) -> int:
            began.set()
            assert let.wait(20)
            return held + int(self)

    queue, call = BoundedQueue(10, 1_000), object()
    put: Any = queue.put
    first = threading.Thread(target=put, args=(call, Size(1)))
    first.start()
    assert began.wait(20)
    others = [threading.Thread(target=put, args=(call, 1)) for _ in range(3)]
    for one in others:
        one.start()
    for one in others:
        one.join(10)
    assert not any(one.is_alive() for one in others)
    let.set()
    first.join(10)
    assert (len(queue), queue.bytes, queue.dropped) == (4, 4, 0)


def test_taken_calls_free_the_bound_and_dropped_calls_are_counted() -> None:
    queue, call = BoundedQueue(100, 10), object()
    put: Any = queue.put
    assert [put(call, 4) for _ in range(3)] == [True, True, False]
    assert (len(queue), queue.bytes, queue.dropped) == (2, 8, 1)
    assert len(queue.take(1, 100)) == 1
    assert queue.bytes == 4
    assert len(queue.take(5, 1)) == 1  # the first one always
    assert (len(queue), queue.bytes) == (0, 0)
    assert put(call, 10)
