"""Shutdown paths that skip ``atexit``, and the hooks that probes run before a pipeline closes.

Some hosts raise SIGTERM again after a clean shutdown, so that their parent process sees which signal ended them
(uvicorn since 0.29). The default handler then kills the process, and its last calls would never be delivered. A signal
from outside the process leaves no time for anything.
"""

import functools
import signal
import threading
from collections.abc import Callable
from typing import Final

from backwatch.collector.runtime import internal_threads
from backwatch.collector.runtime.guard import never_breaks_the_host


def _known(*wanted: str) -> tuple[signal.Signals, ...]:
    """Return those of these signals that exist on this system."""
    return tuple(getattr(signal, name) for name in wanted if hasattr(signal, name))


DEADLY: Final = _known("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
"""Signals that ask a process to exit, and kill it if it has no handler for them."""

_FAULTS: Final = frozenset(_known("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT"))
"""Signals that a thread causes itself; ``faulthandler`` must receive them there."""

_before_signal: dict[Callable[[], object], float] = {}
"""Callbacks to run before a fatal signal, and the seconds to wait for each."""
_hooks: list[Callable[[], object]] = []
"""Hooks with which probes report calls that they have held back, before a pipeline closes."""
_original: Final = signal.raise_signal
_is_patched = False
"""True if the replacement is in place, possibly below another one."""


@functools.wraps(_original)
def _raise_signal(signalnum: int, /) -> None:
    _run_before_signal(signalnum)
    _original(signalnum)


_raise_signal.__module__ = "signal"  # pickle looks the function up there


def block_signals(starter: int) -> None:
    """Block signals on this thread and those that it starts: a signal that the app blocks must not arrive here.

    Args:
        starter: ``threading.get_native_id()`` of the thread that started this one. With gevent it is this same thread,
            which belongs to the app.
    """
    if threading.get_native_id() != starter and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)


@never_breaks_the_host
def _run_before_signal(signalnum: int) -> None:
    if _before_signal and signalnum in DEADLY and signal.getsignal(signalnum) is signal.SIG_DFL:
        # On a thread of its own: the signal's handler may have interrupted code that holds a lock the callbacks need.
        callbacks, timeout_s = list(_before_signal), sum(_before_signal.values())
        starter = threading.get_native_id()
        thread = internal_threads.make_daemon(lambda: _run_callbacks(callbacks, starter), "backwatch-end")
        internal_threads.start(thread)
        thread.join(timeout_s)


def _run_callbacks(callbacks: list[Callable[[], object]], starter: int) -> None:
    block_signals(starter)
    for callback in callbacks:
        never_breaks_the_host(callback)()


def add_hook(hook: Callable[[], object]) -> None:
    """Register a hook for the life of the process. It runs before a pipeline closes, however the process ends."""
    _hooks.append(hook)


def run_hooks() -> None:
    """Run all hooks; a fault of one does not stop the others."""
    for hook in _hooks:
        never_breaks_the_host(hook)()


def run_before_fatal_signal(callback: Callable[[], object], timeout_s: float) -> None:
    """Run ``callback`` before the process kills itself by ``signal.raise_signal``, which waits ``timeout_s``."""
    global _is_patched
    _before_signal[callback] = timeout_s
    if not _is_patched:
        _is_patched, signal.raise_signal = True, _raise_signal


def cancel_before_fatal_signal(callback: Callable[[], object]) -> None:
    """Undo :func:`run_before_fatal_signal`.

    After the last callback ``signal.raise_signal`` is the original again, unless other code has wrapped it since.
    """
    global _is_patched
    _before_signal.pop(callback, None)
    if not _before_signal and signal.raise_signal is _raise_signal:
        _is_patched, signal.raise_signal = False, _original
