"""Calls of confluent-kafka that end elsewhere: messages on their way, and administrative requests."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from backwatch.collector.probes.families.kafka.calls import PendingCall
from backwatch.collector.probes.toolkit.messages import operation_text
from backwatch.collector.runtime.record import PRODUCER

if TYPE_CHECKING:
    from collections.abc import Callable

    from backwatch.collector.probes.confluent_kafka.state import ConfluentClientState


class ConfluentDelivery(PendingCall):
    """A message on its way: librdkafka calls it with the broker's response, and it calls the app's callback."""

    __slots__ = ("app_callback", "client", "on_report")

    def __init__(
        self, on_report: Callable[[ConfluentDelivery, Any], object], client: ConfluentClientState, app_callback: Any,
        topic: Any, size: int,
    ) -> None:  # fmt: skip
        statement, facts = operation_text("send", topic)
        super().__init__("send", statement, time_ns(), facts, PRODUCER)
        self.estimated = (size, -1)
        self.on_report = on_report
        self.client = client
        self.app_callback = app_callback

    def __call__(self, error: Any, message: Any) -> Any:
        """Record the delivery, then call the app's own callback."""
        self.on_report(self, error)
        return self.app_callback(error, message) if self.app_callback is not None else None


class AdminRequest(PendingCall):
    """An administrator's call whose responses come to futures; recorded when all have come."""

    __slots__ = ("client", "error", "missing", "on_response")

    def __init__(
        self, on_response: Callable[[AdminRequest, Any], object], client: ConfluentClientState, operation: str,
        statement: str, start_ns: int, missing: int,
    ) -> None:  # fmt: skip
        super().__init__(operation, statement, start_ns)
        self.on_response = on_response
        self.client = client
        self.missing = missing
        self.error: BaseException | None = None

    def __call__(self, future: Any) -> None:
        """Handle one response."""
        self.on_response(self, future)
