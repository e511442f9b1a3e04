"""The bounded queue between the app's threads and the worker. It never blocks; it counts what it drops."""

import threading
from collections import deque
from typing import Final

from backwatch.collector.runtime.record import Call

FULL_BATCH: Final = 512


class Wakeup:
    """A re-entrant event that wakes one waiting thread.

    Not ``threading.Event``, whose lock is not re-entrant: the garbage collector or a signal handler may run a driver's
    code, and so call ``set``, in the middle of ``wait`` or of another ``set``.
    """

    __slots__ = ("_silent",)

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def set(self) -> None:
        """Wake the waiting thread, or the next one that waits."""
        try:
            self._silent.release()
        except RecursionError:  # a subclass of RuntimeError
            raise
        except RuntimeError:  # already set; ``contextlib.suppress`` needs stack frames that there may not be
            pass

    def wait(self, timeout_s: float) -> None:
        """Wait until it is set, at most ``timeout_s``, and clear it."""
        self._silent.acquire(timeout=max(0.0, min(timeout_s, threading.TIMEOUT_MAX)))

    def clear(self) -> None:
        """Clear it without waiting."""
        self._silent.acquire(blocking=False)


class BoundedQueue:
    """A FIFO queue of calls, bounded in records and in bytes; it drops the newest call and counts it.

    Any number of threads put, one takes. There is no lock: while one is held, a signal handler or the garbage collector
    may run anything, such as the app waiting for its other threads, which would block on that lock for ever. Each
    operation on the deque and on the counters is atomic by itself. Concurrent threads can exceed a bound by one call
    each.
    """

    __slots__ = ("_bytes", "_calls", "_max_bytes", "_max_records", "dropped", "idle", "wakeup")

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._calls: deque[tuple[int, Call]] = deque()
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self.dropped = 0
        """Records dropped since the queue was made."""
        self.wakeup = Wakeup()
        """Set when the worker has something to do."""
        self.idle = True
        """True while the worker sleeps until ``wakeup``; only then is setting it worth its cost."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def bytes(self) -> int:
        """Bytes of memory in use, by the sizes given to :meth:`put`."""
        return self._bytes

    def put(self, call: Call, size: int) -> bool:
        """Append one call, or drop and count it. Never waits for the worker; takes about 0.3 µs."""
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
                self.idle = True  # so that the next call sets it, or the worker would sleep on
                raise
        return True

    def take(self, max_records: int, max_bytes: int) -> list[Call]:
        """Remove and return the oldest calls within both bounds, but at least one. For the worker's thread only."""
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
            self._bytes = 0  # a signal handler's exception may have left a call counted that was not appended
        return calls
