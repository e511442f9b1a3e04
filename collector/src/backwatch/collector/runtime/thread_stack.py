"""The stack of the collector's threads, whatever size the app has chosen for threads of its own."""

import contextlib
import threading
from collections.abc import Generator
from typing import Final

from backwatch.collector.runtime.guard import never_breaks_the_host

STACK_BYTES: Final = 1 << 20
LEAST_BYTES: Final = 1 << 19
"""An app may run thousands of threads on 32 KiB each: TLS and name look-ups do not fit, and end the process."""
MOST_BYTES: Final = 1 << 26
"""Where address space is limited, a thread with a larger stack may not start at all."""


@contextlib.contextmanager
def ample_stack() -> Generator[None]:
    """Start threads with a stack on which a client of the stream fits.

    The size is one for the whole process: a thread that the app starts at this very moment may get it, too.
    """
    before = _widen()
    try:
        yield
    finally:
        if before:
            _restore(before)


# The size is only had by setting another one: ``stack_size()`` sets 0, the default.
@never_breaks_the_host
def _widen() -> int:
    """Return the size to restore; 0: it was left alone."""
    before = threading.stack_size(STACK_BYTES)
    if not before or LEAST_BYTES <= before <= MOST_BYTES:
        threading.stack_size(before)
        return 0
    return before


@never_breaks_the_host
def _restore(before: int) -> None:
    found = threading.stack_size(before)
    if found != STACK_BYTES:  # the app has set another one meanwhile
        threading.stack_size(found)
