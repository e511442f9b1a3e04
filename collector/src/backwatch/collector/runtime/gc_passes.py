"""The garbage collector at work on a thread of the collector, which forks wait for.

It runs on whatever thread happens to allocate, and closes what the app has let go of: a SQLite connection, say, which
Python 3.11 always leaves to it. A fork in the midst leaves a child with the lock of that library held for ever, and
with a garbage collector that believes it is at work. An app whose only thread forks never has that, so it must not
have it by a thread of this package.
"""

import gc
import os
import time
from _thread import get_ident
from typing import Final

from backwatch.collector.runtime import guard

MAX_WAIT_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.001

_collecting = 0
"""Identifier of the collector's thread on which the garbage collector is at work; 0: none."""


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
    # No other thread runs between the last look of this loop and the fork: nothing in between lets go of the
    # interpreter, and this hook is the last one.
    deadline = 0.0
    while _collecting and _collecting != get_ident():
        deadline = deadline or time.monotonic() + MAX_WAIT_S
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK_AGAIN_S)


def _forget() -> None:
    global _collecting
    _collecting = 0


def register_at_fork() -> None:
    """Have forks wait. Of all hooks that are registered, the one that came first is called last before a fork."""
    os.register_at_fork(before=_wait_for_end, after_in_child=_forget)
