"""Errors of a loop that goes on: logged when they are new, followed by growing pauses."""

import logging
import time
from typing import Final

from backwatch.detector.decoding.fault_description import describe

logger = logging.getLogger("backwatch")

REPEAT_EVERY_S: Final = 60.0
"""The same error is logged again after so long."""
LASTING_S: Final = 20.0
"""After so long of nothing but errors a client is opened anew: it may be what keeps them up."""
MAX_PAUSE_S: Final = 10.0
MAX_TEXT_CHARACTERS: Final = 300


class StalledConsumer(RuntimeError):
    """A consumer holds partitions that it does not deliver."""


def describe_unforeseen(error: BaseException) -> str:
    """Return one bounded line for an unexpected error: class and place, never its text, which an attacker may control.

    The line goes into the store, into the evidence of an alert and to webhooks.
    """
    if isinstance(error, StalledConsumer):
        return str(error)[:MAX_TEXT_CHARACTERS]
    return describe(error)


class RepeatedErrors:
    """The errors of one loop, one after the other."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._text = ""
        self._logged_s = 0.0
        self._since_s = 0.0
        self._count = 0

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next try."""
        return min(MAX_PAUSE_S, 0.5 * 2 ** min(self._count, 10))

    def note(self, text: str, error: BaseException | None = None) -> bool:
        """Log the error if it is new.

        Return whether there have been only errors for long; that time then starts again.

        Args:
            text: One line.
            error: Its traceback is logged at level debug.
        """
        now_s = time.monotonic()
        if self._count == 0:
            self._since_s = now_s
        self._count += 1
        if text != self._text or now_s - self._logged_s >= REPEAT_EVERY_S:
            self._text, self._logged_s = text, now_s
            logger.error("backwatch: %s: %s; trying again", self._loop, text)
            if error is not None:
                logger.debug("backwatch: %s", self._loop, exc_info=error)
        lasting = now_s - self._since_s >= LASTING_S
        if lasting:
            self._since_s = now_s
        return lasting

    def over(self) -> None:
        """Note that all is well again."""
        if self._count:
            self._count, text, self._text = 0, self._text, ""
            logger.warning("backwatch: %s: works again, after: %s", self._loop, text)
