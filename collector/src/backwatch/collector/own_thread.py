"""Threads of the collector, which no trace or profile function of the app ever runs on.

``threading.settrace`` and ``threading.setprofile`` have a function called on each thread that starts, from its first
frame on. One that raises would end the collector's thread before its first line.
"""

import _thread
import functools
import operator
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Final

from backwatch.collector.thread_stack import ample_stack

_CLEAR: Final = (functools.partial(sys.settrace, None), functools.partial(sys.setprofile, None))


def make_daemon(run: Callable[[], object], name: str) -> threading.Thread:
    """Return a daemon thread that is not started yet."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    # Not with gevent and eventlet, whose threads are greenlets: the functions would be those of the app's own thread.
    if isinstance(_thread.start_new_thread, BuiltinFunctionType):
        # No frame of Python begins, and so no hook is called, until both are cleared: all of this is C.
        steps = map(operator.call, (*_CLEAR, thread.run))
        thread.run = functools.partial(deque, steps, 0)  # pyright: ignore[reportAttributeAccessIssue]
    return thread


def start(thread: threading.Thread) -> None:
    """Start it, with a stack on which a client of the stream fits.

    Raises:
        RuntimeError: The system, or an interpreter that ends, starts no thread.
    """
    with ample_stack():
        thread.start()
