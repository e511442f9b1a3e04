"""The one place where the collector's own faults stop: they must never break, slow or block the watched app."""

import functools
import logging
from _thread import get_ident
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("backwatch")

_VARARGS: Final = 4
"""``inspect.CO_VARARGS``: that module is not worth its import here."""
MAX_SWALLOWED: Final = 16
MAX_LOGGED_NAMES: Final = 100
_logged_names: set[str] = set()
swallowed: list[tuple[str, BaseException]] = []
"""Faults of this process, at most ``MAX_SWALLOWED``. A test that leaves an unexpected one here fails."""
faults = 0
"""Number of the collector's faults; heartbeats report it as drops of kind ``probe``."""


collector_threads: set[int] = set()
"""Identifiers of the collector's threads. A fork waits while one of them logs: a child that inherits the lock of an
output stream in use blocks for ever at its first log line. A thread of the app does not hold forks up: it may hold a
lock for which the collector's thread waits while it holds forks up itself."""
logging_contexts: list[Callable[[], AbstractContextManager[None]]] = [nullcontext]
"""The last one is entered on those threads around each log line; ``forks`` appends its own."""


def log(message: str, *args: object, level: int = logging.WARNING) -> None:
    """Log one line in the app's own log. Exceptions of the app's handlers and filters end here."""
    try:
        with logging_contexts[-1 if get_ident() in collector_threads else 0]():
            logger.log(level, message, *args)
    except Exception as error:
        if _is_raised_by_host(error):
            raise
        if len(swallowed) < MAX_SWALLOWED:
            swallowed.append(("log", error))


def _is_raised_by_host(error: BaseException) -> bool:
    """Return whether a signal handler or trace function of the host raised this inside the collector's code.

    Time limits work this way (Celery's soft limit, RQ's, ``signal.alarm``). Only such a function receives, as an
    argument, the very frame that was interrupted.
    """
    step = error.__traceback__
    while step is not None and (inner := step.tb_next) is not None:
        if any(argument is step.tb_frame for argument in _arguments(inner.tb_frame)):
            return True
        step = inner
    return False


def _arguments(frame: FrameType) -> list[object]:
    code, arguments = frame.f_code, list[object]()
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _VARARGS)]:
        value = frame.f_locals.get(name)
        arguments += value if isinstance(value, tuple) else (value,)
    return arguments


def swallow(name: str, error: BaseException) -> None:
    """Count a fault of the collector and log it once per function, without the error's text.

    The text may echo the app's values.

    Raises:
        error: A signal handler of the host raised it; it is no fault of the collector.
    """
    global faults
    if _is_raised_by_host(error):
        raise error
    faults += 1
    # The error's frames, and the app's own error that preceded it, would keep the app's objects alive.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    if len(swallowed) < MAX_SWALLOWED:
        swallowed.append((name, error))
    if name not in _logged_names and len(_logged_names) < MAX_LOGGED_NAMES:
        _logged_names.add(name)
        log("backwatch: %s failed (%s); the application goes on, this call is not recorded", name, type(error).__name__)


def run_isolated(step: Callable[[], object]) -> None:
    """Run one step of the collector's own thread. An exception from a hook of the app ends only this step.

    An app can set a trace or profile function on threads that already run. Python removes one that raises.
    """
    try:
        step()
    except Exception as error:  # noqa: BLE001  the thread has no caller
        if len(swallowed) < MAX_SWALLOWED:
            swallowed.append(("run_isolated", error))


def never_breaks_the_host(function: Callable[P, T]) -> Callable[P, T | None]:
    """Wrap ``function`` so that its faults are counted and logged once; the caller gets ``None``."""

    @functools.wraps(function)
    def guard_call(*args: P.args, **kwargs: P.kwargs) -> T | None:
        global faults
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  a fault of the collector must not become the app's
            try:
                swallow(function.__qualname__, error)
            except (RecursionError, MemoryError) as another:
                if another is error:  # raised by the host
                    raise
                faults += 1  # nothing more: the stack has no room for another call
            return None

    return guard_call
