"""Threads of the collector and of its drivers, without the app's trace and profile functions.

``threading.settrace`` and ``threading.setprofile`` install a function on each thread that starts, from its first frame
on. One that raises would end the collector's thread before its first line.
"""

import _thread
import contextlib
import functools
import operator
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from types import BuiltinFunctionType
from typing import Any, Final

from backwatch.collector.runtime.thread_stack import ample_stack

MAX_START_S: Final = 2.0
"""Longest wait for a driver's thread to begin."""
_POLL_INTERVAL_S: Final = 0.001
_CLEAR: Final = (functools.partial(sys.settrace, None), functools.partial(sys.setprofile, None))


def make_daemon(run: Callable[[], object], name: str) -> threading.Thread:
    """Return a daemon thread that is not started yet."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    # Not with gevent and eventlet: their threads are greenlets, and this would clear the hooks of the app's own thread.
    if _are_native():
        # All of this runs in C. No Python frame starts, and so no hook is called, until both hooks are cleared.
        steps = map(operator.call, (*_CLEAR, thread.run))
        thread.run = functools.partial(deque, steps, 0)  # pyright: ignore[reportAttributeAccessIssue]
    return thread


def start(thread: threading.Thread) -> None:
    """Start it, with a stack on which a client of the stream fits.

    Raises:
        RuntimeError: The system, or an interpreter that shuts down, starts no thread.
    """
    with ample_stack():
        thread.start()


@contextlib.contextmanager
def without_hooks(is_internal: Callable[[str], bool]) -> Generator[Callable[[threading.Thread], None]]:
    """Keep the app's hooks off threads that a driver starts for the collector; the app's own threads keep theirs.

    Args:
        is_internal: Returns whether a thread of this name is started for the collector.

    Yields:
        A function that waits until a thread that was started inside the block runs.
    """
    running = set[str]()

    def skip_internal(hook: Callable[..., Any], install: Callable[[Any], None]) -> Callable[..., Any]:
        def choose(*event: Any) -> Any:
            name = threading.current_thread().name
            if is_internal(name):
                running.add(name)
                return install(None)
            install(hook)
            return hook(*event)

        return choose

    def wait_for(thread: threading.Thread) -> None:
        deadline = time.monotonic() + MAX_START_S
        while changed and thread.name not in running and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_S)

    changed: list[tuple[Callable[[], Any], Callable[[Any], None], Any, Any]] = []
    for get, set_, install in (
        (threading.gettrace, threading.settrace, sys.settrace),
        (threading.getprofile, threading.setprofile, sys.setprofile),
    ):
        if _are_native() and (hook := get()) is not None:
            chosen = skip_internal(hook, install)
            set_(chosen)
            changed.append((get, set_, chosen, hook))
    try:
        yield wait_for
    finally:
        for get, set_, chosen, hook in changed:
            if get() is chosen:  # otherwise the app has set another one since
                set_(hook)


def _are_native() -> bool:
    return isinstance(_thread.start_new_thread, BuiltinFunctionType)
