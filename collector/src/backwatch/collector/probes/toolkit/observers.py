"""The two kinds of observers: what their hooks check before they record, and how they stop."""

from backwatch.collector.probes import Recorder


class RecordingObserver:
    """Base of observers that have no recorder once they are disabled."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    def disable(self) -> None:
        """Record nothing from now on: the probe is removed."""
        self.recorder = None


class SwitchableObserver:
    """Base of observers that keep their recorder, and are inactive once they are disabled."""

    active = True

    def disable(self) -> None:
        """Record nothing from now on: the probe is removed."""
        self.active = False
