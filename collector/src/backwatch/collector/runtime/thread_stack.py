"""The stack size of the collector's threads, independent of the size that the app has set for its own."""

import contextlib
import threading
from collections.abc import Generator
from typing import Final

from backwatch.collector.runtime.guard import never_breaks_the_host

STACK_BYTES: Final = 1 << 20
MIN_BYTES: Final = 1 << 19
"""An app may run thousands of threads on 32 KiB each: TLS and name lookups overflow that and kill the process."""
MAX_BYTES: Final = 1 << 26
"""Where address space is limited, a thread with a larger stack may not start at all."""


@contextlib.contextmanager
def ample_stack() -> Generator[None]:
    """Start the threads of the block with a stack that is large enough for a client of the stream.

    The size is global to the process: a thread that the app starts at the same moment may get it, too.
    """
    before = _widen()
    try:
        yield
    finally:
        if before:
            _restore(before)


# The current size can only be read by setting another one: ``stack_size()`` sets 0, the default.
@never_breaks_the_host
def _widen() -> int:
    """Return the size to restore; 0: it was left alone."""
    before = threading.stack_size(STACK_BYTES)
    if not before or MIN_BYTES <= before <= MAX_BYTES:
        threading.stack_size(before)
        return 0
    return before


@never_breaks_the_host
def _restore(before: int) -> None:
    found = threading.stack_size(before)
    if found != STACK_BYTES:  # the app has set another one since
        threading.stack_size(found)
