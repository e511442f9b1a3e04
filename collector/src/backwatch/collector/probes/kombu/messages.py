"""Messages of kombu and Celery: their task, their payload, and the request that delivers one."""

import time
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.families.amqp.requests import AmqpRequest
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.record import Facts

_PICKLES: Final = frozenset(("application/x-python-serialize", "application/python-pickle"))


def with_task(statement: str, headers: object) -> str:
    """Return a message's statement, with the name of the Celery task that it requests."""
    task = headers.get("task") if isinstance(headers, dict) else None
    return f"{statement} {redact.redact_name(task)}" if isinstance(task, str) and task else statement


def describe_publish(fields: dict[str, Any], headers: object) -> str:
    """Return the statement that publishes a message to an exchange with a routing key."""
    return with_task(
        f"PUBLISH {redact.redact_route(fields.get('exchange', ''), fields.get('routing_key', ''))}", headers
    )


def to_delivery(label: str, queue: str, headers: object) -> AmqpRequest:
    """Return the request that delivers a message, now.

    Args:
        label: The queue as the statement has it.
    """
    return AmqpRequest("DELIVER", with_task(f"DELIVER {label}", headers), queue, time.time_ns(), 0)


def payload_facts(body: object, content_type: object) -> Facts:
    """Return the format of a message: by its bytes, else by its content type, for a pickle is loaded."""
    found = detect_formats(body)
    if not any(name == names.PAYLOAD_FORMAT for name, _ in found) and content_type in _PICKLES:
        return ((names.PAYLOAD_FORMAT, "pickle"), *found)
    return found


def destination_facts(destination: str) -> Facts:
    """Return the fact that names a message's destination; nothing if it is unknown."""
    return ((names.MESSAGING_DESTINATION, destination),) if destination else ()
