"""What wakes the worker does so wherever it is rung from, and whatever interrupts it."""

import signal
import subprocess
import sys
import time

from backwatch.collector.queue import Bell


def test_a_bell_wakes_once_whenever_it_was_rung_even_by_who_interrupts_a_wait() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    begin = time.monotonic()
    bell.wait(20)
    assert time.monotonic() - begin < 10
    bell.wait(-1)
    bell.wait(0.01)  # it is silent: both come back by themselves
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)
        for _ in range(100):
            bell.wait(20)
            bell.ring()
        assert time.monotonic() - begin < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    bell.ring()
    bell.hush()
    begin = time.monotonic()
    bell.wait(0.05)
    assert time.monotonic() - begin > 0.04


AT_ANY_DEPTH = """
import sys
from backwatch.collector.queue import Bounded

def down(depth, queue):
    return down(depth - 1, queue) if depth else queue.put("call", 1)

sys.setrecursionlimit(200)
asleep = []
for depth in range(150, 200):
    queue = Bounded(100, 100)
    try:
        down(depth, queue)
    except RecursionError:
        pass
    if len(queue) and not queue.idle and queue.arrived._silent.locked():
        asleep.append(depth)
print(asleep)
"""


def test_no_call_is_queued_without_waking_the_worker_wherever_the_stack_ends() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ANY_DEPTH], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
