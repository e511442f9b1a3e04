"""Ends that run no exit handler: a host that has left in good order may raise its signal again, whose default is death.

uvicorn does so since 0.29, with one worker and with many, so that whoever started it sees which signal ended it. What
it served in its last moments would never be delivered. What kills a process from outside leaves no time for anything.
"""

import functools
import signal
import threading
from collections.abc import Callable
from typing import Final

from backwatch.collector.runtime import internal_threads
from backwatch.collector.runtime.guard import never_breaks_the_host


def _known(*wanted: str) -> tuple[signal.Signals, ...]:
    """Those of these signals that there are on this system."""
    return tuple(getattr(signal, name) for name in wanted if hasattr(signal, name))


DEADLY: Final = _known("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
"""Signals that ask a process to leave, and end it where nobody handles them."""

_FAULTS: Final = frozenset(_known("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT"))
"""What a thread brings upon itself: whoever tells of it (``faulthandler``) must hear of it."""

_tells: dict[Callable[[], object], float] = {}
"""What is called, and how long it is waited for."""
_last_words: list[Callable[[], object]] = []
"""What the probes have kept back and must tell before the calls' way is closed."""
_original: Final = signal.raise_signal
_stands = False
"""Whether ours is in place, be it below somebody else's."""


@functools.wraps(_original)
def _raise_signal(signalnum: int, /) -> None:
    _before(signalnum)
    _original(signalnum)


_raise_signal.__module__ = "signal"  # where pickles find it, which cannot name it by ``_signal`` any more


def block_signals(starter: int) -> None:
    """This thread, and those that it starts, take no signal: one that the app holds off would find its way by us.

    Args:
        starter: ``threading.get_native_id()`` of who started this thread: with gevent it is the same, and the app's.
    """
    if threading.get_native_id() != starter and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)


@never_breaks_the_host
def _before(signalnum: int) -> None:
    if _tells and signalnum in DEADLY and signal.getsignal(signalnum) is signal.SIG_DFL:
        # On a thread of its own: a handler may have come between the lines of a lock that the last words need.
        tells, patience_s = list(_tells), sum(_tells.values())
        starter = threading.get_native_id()
        last = internal_threads.make_daemon(lambda: _tell(tells, starter), "backwatch-end")
        internal_threads.start(last)
        last.join(patience_s)


def _tell(tells: list[Callable[[], object]], starter: int) -> None:
    block_signals(starter)
    for tell in tells:
        never_breaks_the_host(tell)()


def add_hook(say: Callable[[], object]) -> None:
    """Has this called, for good, before a pipeline closes, however the process ends."""
    _last_words.append(say)


def run_hooks() -> None:
    """Calls them all; the fault of one is not another's."""
    for say in _last_words:
        never_breaks_the_host(say)()


def run_before_fatal_signal(tell: Callable[[], object], within_s: float) -> None:
    """Has this called before the process ends itself by a signal (``signal.raise_signal``), which waits so long."""
    global _stands
    _tells[tell] = within_s
    if not _stands:
        _stands, signal.raise_signal = True, _raise_signal


def cancel_before_fatal_signal(tell: Callable[[], object]) -> None:
    """No longer; after the last one, ``signal.raise_signal`` is what it was, unless somebody has wrapped ours."""
    global _stands
    _tells.pop(tell, None)
    if not _tells and signal.raise_signal is _raise_signal:
        _stands, signal.raise_signal = False, _original
