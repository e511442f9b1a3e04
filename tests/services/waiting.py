"""Wait for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str = "", within_s: float = 120) -> T:
    """Wait until the condition returns a true value; return that value. Fails beyond ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what or 'a condition'}"
        time.sleep(0.02)
    return value
