"""What is kept of one AMQP connection: its facts, and on each channel the requests that wait for their answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.redaction import amqp as redact

if TYPE_CHECKING:
    from collections import deque

    from backwatch.collector.payload.formats import Facts
    from backwatch.collector.runtime.record import Session
    from backwatch.collector.session.socket_counters import SocketCounters

FACTS: Final = names.OVER_TLS | {
    names.MESSAGING_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
    names.STATEMENT, names.MESSAGING_DESTINATION, names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID,
    names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
    names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.NOTICES, names.PAYLOAD_FORMAT,
    names.PAYLOAD_GLOBALS, names.REDELIVERED,
}  # fmt: skip
"""What the clients can tell."""
MAX_PENDING: Final = 1_000
MAX_CONSUMERS: Final = 1_000
_FIELDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Basic.Get": ("GET", ("queue",)),
    "Basic.Consume": ("CONSUME", ("queue",)),
    "Queue.Declare": ("QUEUE.DECLARE", ("queue",)),
    "Queue.Bind": ("QUEUE.BIND", ("queue", "exchange", "routing_key")),
    "Queue.Unbind": ("QUEUE.UNBIND", ("queue", "exchange", "routing_key")),
    "Queue.Purge": ("QUEUE.PURGE", ("queue",)),
    "Queue.Delete": ("QUEUE.DELETE", ("queue",)),
    "Exchange.Declare": ("EXCHANGE.DECLARE", ("exchange",)),
    "Exchange.Delete": ("EXCHANGE.DELETE", ("exchange",)),
    "Exchange.Bind": ("EXCHANGE.BIND", ("destination", "source", "routing_key")),
    "Exchange.Unbind": ("EXCHANGE.UNBIND", ("destination", "source", "routing_key")),
    "Tx.Commit": ("COMMIT", ()),
    "Tx.Rollback": ("ROLLBACK", ()),
}
"""Methods that are calls, and what they name; everything else keeps the protocol going."""


class Request(NamedTuple):
    """A method that was sent, in words free of values."""

    operation: str
    statement: str
    destination: str
    start_ns: int
    sent: int
    """Bytes; -1: not counted."""
    tag: str = ""
    """Of a consumer, where the client chose it."""


class Lane:
    """One channel."""

    __slots__ = ("busy", "closed", "consumers", "pending", "received")

    def __init__(self) -> None:
        self.pending: dict[str, deque[Request]] = {}
        """By the name of the answer that is due."""
        self.consumers: dict[str, str] = {}
        """Queue by consumer tag."""
        self.received = 0
        """Bytes of frames that no call has been told with."""
        self.busy = 0
        """How many wrappers further out tell what goes on now."""
        self.closed: tuple[Any, Any] | None = None
        """Why the broker closed it."""


class Link:
    """One connection."""

    __slots__ = ("__weakref__", "lanes", "notices", "open", "read", "session", "start_ns", "told", "wire")

    def __init__(self, session: Session, wire: SocketCounters | None, start_ns: int) -> None:
        self.session = session
        self.wire = wire
        self.start_ns = start_ns
        self.lanes: dict[int, Lane] = {}
        self.notices = 0
        self.open = False
        self.told = False
        self.read = 0
        """Bytes read so far, as the driver counts them."""

    def lane(self, channel: int) -> Lane:
        """What is known of one of its channels."""
        lane = self.lanes.get(channel)
        if lane is None:
            lane = self.lanes[channel] = Lane()
        return lane

    def facts(self, destination: str, more: Facts = ()) -> Facts:
        """Facts of a call; what the broker said unasked for since the last one is told with it."""
        facts = (*more, (names.MESSAGING_DESTINATION, destination)) if destination else more
        if self.notices:
            facts, self.notices = (*facts, (names.NOTICES, self.notices)), 0
        return facts


def is_call(method: str) -> bool:
    """Whether a method waits for an answer and is told as a call."""
    return method in _FIELDS


def request(method: str, fields: Any, start_ns: int, sent: int) -> Request:
    """A method as a call; ``fields`` has the AMQP names as attributes."""
    operation, wanted = _FIELDS[method]
    values = [getattr(fields, one, None) for one in wanted]
    destination = redact.redact_name(values[0]) if values else ""
    if method == "Exchange.Declare":
        values.append(getattr(fields, "exchange_type", None) or getattr(fields, "type", None))
    tag = getattr(fields, "consumer_tag", None) if method == "Basic.Consume" else None
    return Request(
        operation,
        redact.to_statement(operation, *values),
        destination,
        start_ns,
        sent,
        tag if isinstance(tag, str) else "",
    )


def publication(exchange: object, routing_key: object, start_ns: int, sent: int) -> Request:
    """A message that is sent."""
    route = redact.redact_route(exchange, routing_key)
    destination = redact.redact_name(exchange) or redact.redact_name(routing_key)
    return Request("PUBLISH", f"PUBLISH {route}", destination, start_ns, sent)


def answer_due(method: str) -> str:
    """Name of the answer that ends a request."""
    return "Basic.GetOk" if method == "Basic.Get" else method + "Ok"
