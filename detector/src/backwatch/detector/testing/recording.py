"""The calls of this process, kept in memory in place of a stream. Calls of child processes are not recorded."""

from collections.abc import Sequence
from typing import Final

from backwatch.collector import names
from backwatch.collector.bootstrap import start as bootstrap
from backwatch.collector.stream import Message, Publisher

FLUSH_TIMEOUT_S: Final = 10.0
_HEARTBEAT: Final = bytes((0x0A, len(names.SCOPE_HEARTBEAT))) + names.SCOPE_HEARTBEAT.encode()
"""A heartbeat's scope, as the encoder writes it."""


class MemoryPublisher(Publisher):
    """Appends values to a list. Heartbeats are left out: a test run is no service that must stay alive."""

    def __init__(self, values: list[bytes]) -> None:
        self._values = values

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:  # noqa: ARG002  memory is never slow
        """Append all messages."""
        self._values.extend(message.value for message in messages if _HEARTBEAT not in message.value)

    def close(self, timeout_s: float) -> None:
        """Keep the values: the recording owns them."""


class Recording:
    """What the collector has recorded in this process since :meth:`start`."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        """``ExportTraceServiceRequest`` values, in the order in which they were delivered."""

    def start(self) -> None:
        """Start the collector. One that runs already is replaced: its calls went to a stream."""
        bootstrap.stop()
        bootstrap.start(lambda: MemoryPublisher(self.values))

    def flush(self) -> None:
        """Wait until the calls made so far are in ``values``."""
        pipeline = bootstrap.get_pipeline()
        if pipeline is not None:
            pipeline.flush(FLUSH_TIMEOUT_S)

    def count_dropped(self) -> int:
        """Return how many calls the collector's queue has dropped."""
        pipeline = bootstrap.get_pipeline()
        return 0 if pipeline is None else pipeline.count_dropped()

    def stop(self) -> None:
        """Stop the collector and unwrap the drivers."""
        bootstrap.stop()
