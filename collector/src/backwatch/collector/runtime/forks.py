"""Forks while the collector's threads work, and hosts that fork in C without running Python's fork hooks.

A child has only the thread that forked. A module that another thread was importing stays half imported in the child,
and a thread that imports it there blocks for ever. A lock of OpenSSL or SQLite that another thread held stays held. So
a fork waits while a thread of the collector imports (some tenths of a second, once, and only if the app forks right
after its first call), takes a step of a TLS handshake (a millisecond) or appends to the embedded stream (a few
milliseconds). Resources that a child must not inherit are released before the fork: SQLite would believe that an
inherited connection holds locks which the system gave to the parent alone.
"""

import contextlib
import os
import sys
import weakref
from _thread import RLock
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from backwatch.collector.runtime import gc_passes, guard
from backwatch.collector.runtime.cut_imports import forget_interrupted_imports

MAX_WAIT_S: Final = 5.0
"""Seconds that a fork waits at most."""
MAX_LOOKUP_WAIT_S: Final = 1.0
"""Seconds that a fork waits at most for a host name lookup, which takes longer if the name server does not answer.
The resolver holds its locks while it reads its files, not while it waits for a response."""
POLL_INTERVAL_S: Final = 0.1


_fork_lock: Final[Any] = RLock()
"""Re-entrant: a signal handler that runs during a fork may fork again. Never gevent's lock: a greenlet of the collector
must not switch to another one inside the block."""


@contextlib.contextmanager
def hold_forks() -> Generator[None]:
    """Make forks wait until the block ends, so that no fork interrupts it."""
    with _fork_lock:
        yield


_lookup_lock: Final[Any] = RLock()


@contextlib.contextmanager
def hold_forks_for_lookup() -> Generator[None]:
    """Make forks wait while a thread of the collector looks up a host name, at most ``MAX_LOOKUP_WAIT_S``.

    A child never gets back a lock of the C library's resolver: of 1,800 children forked during lookups, two blocked
    for ever at their own first lookup.
    """
    _wait_for_lookup()
    try:
        yield
    finally:
        _end_wait_for_lookup()


def _wait_for_lookup() -> None:
    _lookup_lock.acquire(timeout=MAX_LOOKUP_WAIT_S)


def _end_wait_for_lookup() -> None:
    if _lookup_lock._is_owned():  # not if the wait timed out, nor in a greenlet that a fork has copied
        _lookup_lock.release()


guard.logging_contexts.append(hold_forks)


class ForkSensitive(Protocol):
    """A resource that a child must not inherit."""

    def release_before_fork(self) -> None:
        """Release what would be inherited; the next use acquires it again."""
        ...


Resource = TypeVar("Resource", bound=ForkSensitive)
_resources: "weakref.WeakSet[ForkSensitive]" = weakref.WeakSet()


def release_before_forks(resource: Resource) -> Resource:
    """Release this resource before each fork of this process, outside any block of :func:`hold_forks`.

    Returns:
        The same resource.
    """
    with hold_forks():  # a fork iterates over them
        _resources.add(resource)
    return resource


def _release_resources() -> None:
    if _fork_lock._is_owned():  # otherwise the wait timed out, and a thread of the collector is using them
        for resource in list(_resources):
            guard.never_breaks_the_host(resource.release_before_fork)()


def _repair_imports() -> None:
    # Also if the wait did not time out: a function of the standard library may import a module at its first use, an
    # encoding for example, where no block of ``hold_forks`` is.
    forget_interrupted_imports(guard.collector_threads)


if hasattr(os, "register_at_fork"):
    gc_passes.register_at_fork()
    # The last one registered is called first before a fork, and last in the child: it has the lock at both.
    os.register_at_fork(before=_release_resources, after_in_child=guard.never_breaks_the_host(_repair_imports))
    # All of these are C functions. In a Python function a signal handler's exception or a full stack could interrupt
    # and leave the lock held for ever. After a timeout the release reports an error on standard error.
    os.register_at_fork(
        before=partial(_fork_lock.acquire, timeout=MAX_WAIT_S),
        after_in_parent=_fork_lock.release,
        after_in_child=_fork_lock._at_fork_reinit,
    )
    # These may be Python functions: if the forking thread keeps this lock, each lookup takes a second more.
    os.register_at_fork(
        before=_wait_for_lookup, after_in_parent=_end_wait_for_lookup, after_in_child=_lookup_lock._at_fork_reinit
    )


def wait_for_uwsgi(stopping: Callable[[], bool], wait: Callable[[float], object]) -> None:
    """Wait until uWSGI has forked. It loads the app in its master and forks in C, without running Python's hooks.

    Args:
        stopping: Returns whether the process ends.
        wait: Sleeps for the given seconds.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or not hasattr(uwsgi, "worker_id"):
        return
    if not any(name in uwsgi.opt for name in ("enable-threads", "threads", b"enable-threads", b"threads")):
        guard.log("backwatch: uWSGI runs no threads without --enable-threads: calls would not be delivered")
    while not stopping() and uwsgi.worker_id() == 0 and uwsgi.masterpid() and not _has_forked(uwsgi):
        wait(POLL_INTERVAL_S)


def _has_forked(uwsgi: Any) -> bool:
    return any(worker["pid"] for worker in uwsgi.workers() or ())
