"""What notify logs of a store that is away: its threads together, once a minute, and once it is back."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger("backwatch")

REPEAT_EVERY_S: Final = 60.0
"""The same error is logged again after so long."""


class StoreWait:
    """The waits of several threads for one store.

    Args:
        waiter: Who waits, for the log.
        monotonic_s: Monotonic time.
    """

    def __init__(self, waiter: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._waiter = waiter
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._away = False
        self._logged: dict[str, float] = {}

    def note(self, error: BaseException) -> None:
        """Log the error if it is news."""
        text = (str(error).splitlines() or [type(error).__name__])[0][:300]
        now_s = self._monotonic_s()
        with self._lock:
            self._away = True
            if now_s - self._logged.get(text, -REPEAT_EVERY_S) < REPEAT_EVERY_S:
                return
            if len(self._logged) > 10:
                self._logged.clear()
            self._logged[text] = now_s
        logger.warning("backwatch: %s waits for the store: %s", self._waiter, text)

    def over(self) -> None:
        """Note that the store answers."""
        if not self._away:
            return
        with self._lock:
            was_away, self._away = self._away, False
            self._logged.clear()
        if was_away:
            logger.warning("backwatch: %s: the store is back", self._waiter)
