"""A service on a thread of the test."""

import contextlib
import threading
from collections.abc import Callable, Generator


@contextlib.contextmanager
def run_in_thread(run: Callable[[threading.Event], object]) -> Generator[None]:
    """Run it on a thread inside the block; its event is set at the end."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
