"""Messages that come again: how often, where a broker or a client counts, and by their look where it only says so.

Looked at only where the broker marks a message as delivered before, which few are. Of a message nothing is kept but a
hash under the process's own key, of its first bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names

if TYPE_CHECKING:
    from backwatch.collector.payload.formats import Facts

COUNT: Final = "x-delivery-count"
"""Header of RabbitMQ's quorum queues: how often the message was delivered before."""
MAX_REMEMBERED: Final = 256
MAX_LOOKED_AT: Final = 65_536
_ACK: Final = "$JS.ACK."


class Returning:
    """What came again in this process, most recent last."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def facts(self, queue: str, body: Any, headers: Any) -> Facts:
        """Of a message that the broker marks as delivered before."""
        counted: Any = headers.get(COUNT) if isinstance(headers, dict) else None
        if isinstance(counted, int) and not isinstance(counted, bool):
            return again(int(counted))  # a driver may have an int of its own for it
        return again(self._seen(queue, body))

    def _seen(self, queue: str, body: Any) -> int:
        if not isinstance(body, (bytes, bytearray, memoryview, str)):
            return 1
        head = body[:MAX_LOOKED_AT]
        key = hash((queue, len(body), head if isinstance(head, str) else bytes(head)))
        times = self._times.pop(key, 0) + 1
        if len(self._times) >= MAX_REMEMBERED:
            del self._times[next(iter(self._times))]
        self._times[key] = times
        return times


def again(times: int) -> Facts:
    """How often a message came before: once at least, for so it is marked."""
    return ((names.REDELIVERED, max(times, 1)),)


def returned_by_nats(reply: Any) -> int:
    """How often JetStream delivered a message before, by the address for its acknowledgement; 0: not, or unknown.

    >>> returned_by_nats("$JS.ACK.ORDERS.worker.12.7.9.1700000000.0"), returned_by_nats("_INBOX.x")
    (11, 0)
    """
    text = reply.decode("ascii", "replace") if isinstance(reply, (bytes, bytearray)) else reply
    if not isinstance(text, str) or not text.startswith(_ACK):
        return 0
    parts = text.split(".", 12)
    delivered = parts[4 if len(parts) == 9 else 6] if len(parts) >= 9 else ""
    return int(delivered) - 1 if delivered.isascii() and delivered.isdigit() and len(delivered) < 12 else 0
