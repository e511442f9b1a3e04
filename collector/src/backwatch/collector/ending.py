"""Ends that run no exit handler: a host that has left in good order may raise its signal again, whose default is death.

uvicorn does so since 0.29, with one worker and with many, so that whoever started it sees which signal ended it. What
it served in its last moments would never be delivered. What kills a process from outside leaves no time for anything.
"""

import functools
import signal
from collections.abc import Callable
from typing import Final

from backwatch.collector.guard import never_breaks_the_host

DEADLY: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
"""Signals that ask a process to leave, and end it where nobody handles them."""

_tells: list[Callable[[], object]] = []
_original: Callable[[int], None] = signal.raise_signal


@functools.wraps(signal.raise_signal)
def _raise_signal(signalnum: int, /) -> None:
    _before(signalnum)
    _original(signalnum)


@never_breaks_the_host
def _before(signalnum: int) -> None:
    if signalnum in DEADLY and signal.getsignal(signalnum) is signal.SIG_DFL:
        for tell in _tells.copy():
            tell()


def tell_before(tell: Callable[[], object]) -> None:
    """Has this called before the process ends itself by a signal (``signal.raise_signal``)."""
    global _original
    if not _tells and signal.raise_signal is not _raise_signal:
        _original, signal.raise_signal = signal.raise_signal, _raise_signal
    _tells.append(tell)


def forget(tell: Callable[[], object]) -> None:
    """No longer; after the last one, ``signal.raise_signal`` is what it was."""
    if tell in _tells:
        _tells.remove(tell)
    if not _tells and signal.raise_signal is _raise_signal:
        signal.raise_signal = _original
