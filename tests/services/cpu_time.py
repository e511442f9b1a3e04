"""What a piece of work costs, on a machine that is busy with something else."""

import time
from collections.abc import Callable

TRIES = 5


def least_cpu_s(work: Callable[[], object]) -> float:
    """Seconds of this thread's CPU time, the least of a few tries: the others met the garbage collector, or worse."""
    return min(_cpu_s(work) for _ in range(TRIES))


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
