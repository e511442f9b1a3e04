"""Waits for a store that is not available when ``backwatch detect`` starts."""

import logging
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import sqlalchemy as sa

from backwatch.store.failures import StoreUnavailable

logger = logging.getLogger("backwatch")

T = TypeVar("T")

FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 10.0
_WRONG_SETTINGS: Final = ("password authentication failed", "does not exist", "no pg_hba.conf entry")
"""Errors of a PostgreSQL server that answers, about a wrong URL: waiting does not help."""
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


def wait_for_store(
    store: sa.Engine, work: Callable[[], T], stop: threading.Event, on_wait: Callable[[], object]
) -> T | None:
    """Do the work once the store replies; ``None`` if ``stop`` is set before.

    Args:
        store: The engine that the work uses.
        work: Can be repeated: it is done whole or not at all.
        stop: Ends the wait.
        on_wait: Called before each pause.

    Raises:
        StoreUnavailable: Waiting would not help: the URL is wrong, or the file of a SQLite store cannot be used.
        StoreFull, SettingError: As the work raises them.
    """
    pause_s, waits = FIRST_PAUSE_S, False
    while not stop.is_set():
        try:
            done = work()
        except StoreUnavailable as error:
            if not _is_away(store, error):
                raise
            if not waits:
                logger.warning("backwatch: %s; waiting for it", error.strerror or error)
            waits = True
            on_wait()
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        else:
            if waits:
                logger.warning("backwatch: the store replies")
            return done
    return None


def _is_away(store: sa.Engine, error: StoreUnavailable) -> bool:
    if store.dialect.name == "sqlite":
        return getattr(error.__cause__, "sqlite_errorname", "").startswith(_BUSY)
    return not any(words in str(error) for words in _WRONG_SETTINGS)
