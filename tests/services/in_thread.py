"""A service on a thread of the test, and waits for conditions."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator


@contextlib.contextmanager
def running(run: Callable[[threading.Event], object]) -> Generator[None]:
    """Run it on a thread inside the block; its event is set at the end."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def wait_until(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until it holds; return the seconds. Fails beyond ``within_s``."""
    begin_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begin_s < within_s
        time.sleep(0.02)
    return time.monotonic() - begin_s
