"""The one place where our own faults stop: nothing of ours may break, slow or block the app that is being watched."""

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
_told: set[str] = set()
swallowed: list[tuple[str, BaseException]] = []
"""What was swallowed in this process, newest last, 16 at most; a test that leaves something here unasked fails."""
faults = 0
"""How many faults of ours there were; travels with the heartbeat as drops of kind ``probe``."""


collector_threads: set[int] = set()
"""Identifiers of the collector's threads. A fork waits while one of them logs: a child that inherits the lock of a
stream in use waits for ever at its own first line. A thread of the app does not hold forks up: it may hold a lock for
which the collector's thread waits while it holds forks up itself."""
logging_contexts: list[Callable[[], AbstractContextManager[None]]] = [nullcontext]
"""Its last is entered on those threads around a line of the log; ``forking`` adds its own."""


def log(message: str, *args: object, level: int = logging.WARNING) -> None:
    """A word to the app's own log, whose handlers and filters are the app's: what they raise ends here."""
    try:
        with logging_contexts[-1 if get_ident() in collector_threads else 0]():
            logger.log(level, message, *args)
    except Exception as error:
        if _is_the_hosts(error):
            raise
        if len(swallowed) < MAX_SWALLOWED:
            swallowed.append(("say", error))


def _is_the_hosts(error: BaseException) -> bool:
    """Whether a signal handler or a trace function of the host's raised this in the midst of our code.

    Time limits work so (Celery's soft one, RQ's, ``signal.alarm``). Only who is called in between is given the very
    frame that was interrupted.
    """
    step = error.__traceback__
    while step is not None and (inner := step.tb_next) is not None:
        if any(given is step.tb_frame for given in _arguments(inner.tb_frame)):
            return True
        step = inner
    return False


def _arguments(frame: FrameType) -> list[object]:
    code, given = frame.f_code, list[object]()
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _VARARGS)]:
        value = frame.f_locals.get(name)
        given += value if isinstance(value, tuple) else (value,)
    return given


def swallow(name: str, error: BaseException) -> None:
    """Counts a fault of ours and says so once per kind, without the text of the error: it may echo the app's values.

    Raises:
        error: Where it is none of ours, but what the host's own signal handler raised.
    """
    global faults
    if _is_the_hosts(error):
        raise error
    faults += 1
    # Its frames, and the app's own error that it may have come upon, would keep the app's objects alive.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    if len(swallowed) < MAX_SWALLOWED:
        swallowed.append((name, error))
    if name not in _told and len(_told) < 100:
        _told.add(name)
        log("backwatch: %s failed (%s); the application goes on, this call is not recorded", name, type(error).__name__)


def run_isolated(step: Callable[[], object]) -> None:
    """Make a step of the collector's own thread: what a hook of the app raises there ends no more than this step.

    Python removes a trace or profile function that raises. It may be set on threads that run already.
    """
    try:
        step()
    except Exception as error:  # noqa: BLE001  there is nobody to raise it to
        if len(swallowed) < MAX_SWALLOWED:
            swallowed.append(("run_isolated", error))


def never_breaks_the_host(function: Callable[P, T]) -> Callable[P, T | None]:
    """Whatever goes wrong inside ``function`` is counted and told once; the caller gets ``None``."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        global faults
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  our fault must not become the app's
            try:
                swallow(function.__qualname__, error)
            except (RecursionError, MemoryError) as another:
                if another is error:  # the host's own
                    raise
                faults += 1  # and no more: there is no room to call anything
            return None

    return guarded
