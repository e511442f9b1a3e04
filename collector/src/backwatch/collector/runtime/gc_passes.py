"""Forks wait for a garbage collection that runs on a thread of the collector.

Garbage collection runs on the thread that happens to allocate, and closes what the app has dropped: a SQLite
connection, for example, which Python 3.11 always leaves to it. A fork in the middle leaves a child with that library's
lock held for ever, and with a garbage collector that believes it is running. An app with a single thread never sees
this, so a thread of the collector must not cause it.
"""

import gc
import os
import time
from _thread import get_ident
from typing import Final

from backwatch.collector.runtime import guard

MAX_WAIT_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.001

_collecting = 0
"""Identifier of the collector's thread that runs a garbage collection; 0: none."""


def _note(phase: str, _info: object) -> None:
    global _collecting
    if get_ident() in guard.collector_threads:
        _collecting = get_ident() if phase == "start" else 0


def enter_thread() -> None:
    """Declare the current thread one of the collector's."""
    guard.collector_threads.add(get_ident())
    if _note not in gc.callbacks:
        gc.callbacks.append(_note)


def leave_thread() -> None:
    """Undo :func:`enter_thread`."""
    guard.collector_threads.discard(get_ident())
    if not guard.collector_threads and _note in gc.callbacks:
        gc.callbacks.remove(_note)


def _wait_for_end() -> None:
    # No other thread runs between the last check of this loop and the fork: nothing in between releases the GIL, and
    # this hook is the last one.
    deadline = 0.0
    while _collecting and _collecting != get_ident():
        deadline = deadline or time.monotonic() + MAX_WAIT_S
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_INTERVAL_S)


def _forget() -> None:
    global _collecting
    _collecting = 0


def register_at_fork() -> None:
    """Register the fork hooks. Before a fork, the hook that was registered first runs last."""
    os.register_at_fork(before=_wait_for_end, after_in_child=_forget)
