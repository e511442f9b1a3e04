"""The one place where our own faults stop: nothing of ours may break, slow or block the app that is being watched."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("backwatch")

_told: set[str] = set()
swallowed: list[tuple[str, BaseException]] = []
"""What was swallowed in this process, newest last, 16 at most; a test that leaves something here unasked fails."""
faults = 0
"""How many faults of ours there were; travels with the heartbeat as drops of kind ``probe``."""


def swallow(name: str, error: BaseException) -> None:
    """Counts a fault of ours and says so once per kind, without the text of the error: it may echo the app's values."""
    global faults
    faults += 1
    # Its frames, and the app's own error that it may have come upon, would keep the app's objects alive.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    if len(swallowed) < 16:
        swallowed.append((name, error))
    if name not in _told and len(_told) < 100:
        _told.add(name)
        logger.warning(
            "backwatch: %s failed (%s); the application goes on, this call is not recorded", name, type(error).__name__
        )


def never_breaks_the_host(function: Callable[P, T]) -> Callable[P, T | None]:
    """Whatever goes wrong inside ``function`` is counted and told once; the caller gets ``None``."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  our fault must not become the app's
            swallow(function.__qualname__, error)
            return None

    return guarded
