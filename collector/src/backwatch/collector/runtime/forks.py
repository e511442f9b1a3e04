"""Forks that come while our threads work, and hosts that fork where Python is not asked.

A child has only the thread that forked. A module that another thread was just importing stays half imported in the
child for ever, and whoever imports it there waits for ever; a lock of OpenSSL's that another thread held in a handshake
is held there for ever, and so is one of SQLite's. So a fork waits while our thread imports (some tenths of a second,
once, and only where an app forks right after its first call), while one of ours takes a step of a handshake (a
millisecond) and while it appends to the embedded stream (a few). What must not be inherited at all is let go of before:
SQLite believes of an inherited connection that it holds locks which the system gave to the parent alone.
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

LONGEST_WAIT_S: Final = 5.0
"""No fork is kept waiting longer, whatever happens."""
MAX_LOOKUP_WAIT_S: Final = 1.0
"""A fork waits no longer for a look-up of a host's name, which takes seconds where the name server does not answer.
The resolver holds its locks while it reads its files, not while it waits for an answer."""
LOOK_AGAIN_S: Final = 0.1


_whole: Final[Any] = RLock()
"""Re-entrant: a signal handler that a fork runs may fork again. Never gevent's: a greenlet of ours lets none other run
while it is at what must be whole."""


@contextlib.contextmanager
def hold_forks() -> Generator[None]:
    """What a thread of ours does inside the block is never cut in two by a fork, which waits for its end."""
    with _whole:
        yield


_looking_up: Final[Any] = RLock()


@contextlib.contextmanager
def hold_forks_for_lookup() -> Generator[None]:
    """Hold up forks while a thread of the collector looks up a host's name, for ``MAX_LOOKUP_WAIT_S`` at most.

    The C library's resolver has locks that a child does not get back: of 1,800 children forked beside look-ups, two
    waited for ever at their own first one.
    """
    _wait_for_lookup()
    try:
        yield
    finally:
        _end_wait_for_lookup()


def _wait_for_lookup() -> None:
    _looking_up.acquire(timeout=MAX_LOOKUP_WAIT_S)


def _end_wait_for_lookup() -> None:
    if _looking_up._is_owned():  # it is not where the wait was in vain, nor in a greenlet that a fork has copied
        _looking_up.release()


guard.logging_contexts.append(hold_forks)


class ForkSensitive(Protocol):
    """What a child must not inherit."""

    def release_before_fork(self) -> None:
        """Gives up what would be inherited; it is had again when it is next wanted."""
        ...


Held = TypeVar("Held", bound=ForkSensitive)
_held: "weakref.WeakSet[ForkSensitive]" = weakref.WeakSet()


def release_before_forks(one: Held) -> Held:
    """Has this called before each fork of this process, while nothing inside of :func:`hold_forks` runs.

    Returns:
        The same.
    """
    with hold_forks():  # a fork goes through them
        _held.add(one)
    return one


def _let_go() -> None:
    if _whole._is_owned():  # or a thread of ours is in the midst of it, and the fork has waited in vain
        for one in list(_held):
            guard.never_breaks_the_host(one.release_before_fork)()


def _mend() -> None:
    # Also where the fork has not waited in vain: a function of the standard library may import a module at its first
    # use, an encoding for example, where no import is expected and none is held up.
    forget_interrupted_imports(guard.collector_threads)


if hasattr(os, "register_at_fork"):
    gc_passes.register_at_fork()
    # The last one registered is called first before a fork, and last in the child: it has the lock at both.
    os.register_at_fork(before=_let_go, after_in_child=guard.never_breaks_the_host(_mend))
    # Nothing of these runs in Python, where a handler's exception or the end of the stack could come in between, and
    # leave the lock held for ever. Who waited in vain is told so by the release, on standard error.
    os.register_at_fork(
        before=partial(_whole.acquire, timeout=LONGEST_WAIT_S),
        after_in_parent=_whole.release,
        after_in_child=_whole._at_fork_reinit,
    )
    # These may run in Python: left held by the thread that forks, this lock costs each look-up a second.
    os.register_at_fork(
        before=_wait_for_lookup, after_in_parent=_end_wait_for_lookup, after_in_child=_looking_up._at_fork_reinit
    )


def wait_for_uwsgi(stopping: Callable[[], bool], wait: Callable[[float], object]) -> None:
    """Rests until uWSGI has forked: it loads the app in its master and forks in C, without a word to Python.

    Args:
        stopping: Whether the process ends.
        wait: Sleeps so many seconds.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or not hasattr(uwsgi, "worker_id"):
        return
    if not any(name in uwsgi.opt for name in ("enable-threads", "threads", b"enable-threads", b"threads")):
        guard.log("backwatch: uWSGI gives threads no time without --enable-threads: calls would not be delivered")
    while not stopping() and uwsgi.worker_id() == 0 and uwsgi.masterpid() and not _has_forked(uwsgi):
        wait(LOOK_AGAIN_S)


def _has_forked(uwsgi: Any) -> bool:
    return any(worker["pid"] for worker in uwsgi.workers() or ())
