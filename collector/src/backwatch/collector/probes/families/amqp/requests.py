"""AMQP methods as calls: operation, statement and destination, free of values."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from backwatch.collector.redaction import amqp as redact

FRAME_OVERHEAD_BYTES: Final = 8
"""Bytes around a frame's payload."""
_PROPERTIES_BYTES: Final = 60
"""Bytes of a message's method and properties, about."""
_CALLS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
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
"""Methods that are calls: their operation, and the fields that name something. All others maintain the protocol."""
_COUNTED: Final = frozenset(("QUEUE.PURGE", "QUEUE.DELETE"))
"""Operations whose response has a number of messages."""


class AmqpFields:
    """Arguments under AMQP's names, for a driver that has no object of the method."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class AmqpRequest(NamedTuple):
    """A method that was sent, free of values.

    Attributes:
        sent_bytes: Bytes of its frames; -1: not counted.
        tag: Of a consumer, if the client chose it.
    """

    operation: str
    statement: str
    destination: str
    start_ns: int
    sent_bytes: int
    tag: str = ""


def is_call(method: str) -> bool:
    """Return whether a method expects a response and is recorded as a call."""
    return method in _CALLS


def to_request(method: str, fields: Any, start_ns: int, sent_bytes: int) -> AmqpRequest:
    """Convert a method to a request; ``fields`` has the AMQP names as attributes."""
    operation, wanted = _CALLS[method]
    values = [getattr(fields, name, None) for name in wanted]
    destination = redact.redact_name(values[0]) if values else ""
    if method == "Exchange.Declare":
        values.append(getattr(fields, "exchange_type", None) or getattr(fields, "type", None))
    tag = getattr(fields, "consumer_tag", None) if method == "Basic.Consume" else None
    statement = redact.to_statement(operation, *values)
    return AmqpRequest(operation, statement, destination, start_ns, sent_bytes, tag if isinstance(tag, str) else "")


def to_publication(exchange: object, routing_key: object, start_ns: int, sent_bytes: int) -> AmqpRequest:
    """Return the request that publishes a message."""
    route = redact.redact_route(exchange, routing_key)
    destination = redact.redact_name(exchange) or redact.redact_name(routing_key)
    return AmqpRequest("PUBLISH", f"PUBLISH {route}", destination, start_ns, sent_bytes)


def response_method(method: str) -> str:
    """Return the name of the method that answers a request."""
    return "Basic.GetOk" if method == "Basic.Get" else method + "Ok"


def affected_rows(request: AmqpRequest, count: object) -> int:
    """Return the messages that a request removed, given its response's count; -1 if unknown."""
    return count if request.operation in _COUNTED and isinstance(count, int) else -1


def estimate_message_bytes(body: Any, headers: Any = None) -> int:
    """Estimate the bytes of a message on the wire; -1 if its body is not text or bytes."""
    if not isinstance(body, (bytes, bytearray, str, memoryview)):
        return -1
    size = len(body) + 3 * FRAME_OVERHEAD_BYTES + _PROPERTIES_BYTES
    if headers:
        size += sum(len(str(key)) + min(len(str(value)), 200) + 6 for key, value in list(headers.items())[:40])
    return size
