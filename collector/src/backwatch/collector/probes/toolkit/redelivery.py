"""Redelivered messages: how often one came before, by the broker's or client's count, else by its content.

Only messages are inspected that the broker marks as delivered before, which few are. Nothing of a message is kept but a
hash of its first bytes, under the process's own key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names

if TYPE_CHECKING:
    from backwatch.collector.runtime.record import Facts

COUNT_HEADER: Final = "x-delivery-count"
"""Header of RabbitMQ's quorum queues: how often the message was delivered before."""
MAX_TRACKED_MESSAGES: Final = 256
MAX_HASHED_BYTES: Final = 65_536
_ACK: Final = "$JS.ACK."


class RedeliveryTracker:
    """The redelivered messages of this process, most recent last."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def facts(self, queue: str, body: Any, headers: Any) -> Facts:
        """Return the fact of a message that the broker marks as delivered before."""
        counted: Any = headers.get(COUNT_HEADER) if isinstance(headers, dict) else None
        if isinstance(counted, int) and not isinstance(counted, bool):
            return redelivery_facts(int(counted))  # a driver may have an int of its own for it
        return redelivery_facts(self._count(queue, body))

    def _count(self, queue: str, body: Any) -> int:
        if not isinstance(body, (bytes, bytearray, memoryview, str)):
            return 1
        head = body[:MAX_HASHED_BYTES]
        key = hash((queue, len(body), head if isinstance(head, str) else bytes(head)))
        times = self._times.pop(key, 0) + 1
        if len(self._times) >= MAX_TRACKED_MESSAGES:
            del self._times[next(iter(self._times))]
        self._times[key] = times
        return times


def redelivery_facts(times: int) -> Facts:
    """Return the fact with the number of earlier deliveries: at least one, since the message is marked."""
    return ((names.REDELIVERED, max(times, 1)),)


def nats_redeliveries(reply: Any) -> int:
    """Return the number of JetStream's earlier deliveries, by the address for the acknowledgement; 0: none, or unknown.

    >>> nats_redeliveries("$JS.ACK.ORDERS.worker.12.7.9.1700000000.0"), nats_redeliveries("_INBOX.x")
    (11, 0)
    """
    text = reply.decode("ascii", "replace") if isinstance(reply, (bytes, bytearray)) else reply
    if not isinstance(text, str) or not text.startswith(_ACK):
        return 0
    parts = text.split(".", 12)
    delivered = parts[4 if len(parts) == 9 else 6] if len(parts) >= 9 else ""
    return int(delivered) - 1 if delivered.isascii() and delivered.isdigit() and len(delivered) < 12 else 0
