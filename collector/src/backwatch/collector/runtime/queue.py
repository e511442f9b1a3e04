"""The bounded queue between the app's threads and the worker: takes, never waits, counts what it cannot take."""

import threading
from collections import deque
from typing import Final

from backwatch.collector.runtime.record import Call

FULL_BATCH: Final = 512


class Wakeup:
    """Rings once for whoever waits, or for the next one who will.

    Not an ``Event``: whose lock is not re-entrant, and the garbage collector or a signal handler may run a driver's
    code, and so ring, in the midst of a wait or of another ring.
    """

    __slots__ = ("_silent",)

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def set(self) -> None:
        """Wakes one who waits."""
        try:
            self._silent.release()
        except RecursionError:  # one of the next kind
            raise
        except RuntimeError:  # it rings already; ``suppress`` takes frames that there may not be
            pass

    def wait(self, timeout_s: float) -> None:
        """Until it rings, and it is silent again; or so long."""
        self._silent.acquire(timeout=max(0.0, min(timeout_s, threading.TIMEOUT_MAX)))

    def clear(self) -> None:
        """Silent again."""
        self._silent.acquire(blocking=False)


class BoundedQueue:
    """First in, first out, bounded in records and in bytes of memory; the newest is dropped and counted.

    Any number of threads put, one takes. There is no lock: a signal handler or the garbage collector may run anything
    while one is held, such as the app's wait for its other threads, which would stand before that lock for ever. What a
    lock would guard is a step of a deque's and one of a number's, each whole by itself; where threads come in between,
    a bound is passed by a call for each of them.
    """

    __slots__ = ("_bytes", "_calls", "_max_bytes", "_max_records", "dropped", "idle", "wakeup")

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._calls: deque[tuple[int, Call]] = deque()
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self.dropped = 0
        """How many records found no place, ever."""
        self.wakeup = Wakeup()
        """Rings for the worker when there is something to do."""
        self.idle = True
        """The worker sleeps until ``arrived``; only then is ringing worth its cost."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def bytes(self) -> int:
        """Bytes of memory that are held, as they were told."""
        return self._bytes

    def put(self, call: Call, size: int) -> bool:
        """Takes one call, or drops and counts it. Never waits for the worker; about a third of a microsecond."""
        held = len(self._calls)
        if held >= self._max_records or self._bytes + size > self._max_bytes:
            self.dropped += 1
            return False
        self._calls.append((size, call))
        self._bytes += size
        if self.idle or held == FULL_BATCH:
            self.idle = False
            try:
                self.wakeup.set()
            except BaseException:
                self.idle = True  # so that the next call rings, or the worker would sleep on
                raise
        return True

    def take(self, max_records: int, max_bytes: int) -> list[Call]:
        """The oldest calls, no more than so many records and, from the second on, bytes. For one thread alone."""
        calls: list[Call] = []
        total = 0
        while self._calls and len(calls) < max_records:
            size, call = self._calls[0]
            if calls and total + size > max_bytes:
                break
            self._calls.popleft()
            self._bytes -= size
            total += size
            calls.append(call)
        if not self._calls:
            self._bytes = 0  # a handler's exception may have come between a call and its size
        return calls
