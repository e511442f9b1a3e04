"""The times at which a busy machine did not run this process."""

import threading
import time
from typing import Final

BEAT_S: Final = 0.05


class StallWatch:
    """Measures the longest time that a thread of this process waited for the processor.

    Attributes:
        longest_s: Seconds.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Measure until the event is set."""
        last_s = time.monotonic()
        while not stop.wait(BEAT_S):
            now_s = time.monotonic()
            self.longest_s = max(self.longest_s, now_s - last_s - BEAT_S)
            last_s = now_s
