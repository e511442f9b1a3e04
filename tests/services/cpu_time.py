"""CPU time of a piece of work on a busy machine."""

import time
from collections.abc import Callable

TRIES = 5


def least_cpu_s(work: Callable[[], object]) -> float:
    """Return seconds of this thread's CPU time, the least of a few tries: garbage collection slows others."""
    return min(_cpu_s(work) for _ in range(TRIES))


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
