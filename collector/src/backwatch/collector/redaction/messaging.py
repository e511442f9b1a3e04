"""Names of topics, subjects, queues and groups. A part that an app generates per customer or reply is a value.

Pure functions, linear in the length of the name, which is bounded first.
"""

import re
from typing import Final

from backwatch.collector.redaction import amqp

MAX_NAME: Final = 255
MAX_PART: Final = 40
MAX_OPERATION: Final = 256
"""Characters that are searched for an operation's name."""
OPERATIONS: Final = frozenset((
    "publish", "send", "receive", "process", "deliver", "poll", "consume", "create", "settle", "ack", "nack",
    "reject", "commit", "peek", "subscribe",
))  # fmt: skip
"""Operations on messages, in the terms of OpenTelemetry and its instrumentations."""
MAX_NAMES: Final = 12
"""Destinations in one statement; further ones are shown as ``…``."""

_INBOX: Final = "_INBOX."
_PART: Final = re.compile(r"[^.\-_/:#]+")
_KEPT: Final = re.compile(r"v\d{1,3}|\d|[A-Za-z]{2,}\d{1,2}")
_PREFIX: Final = re.compile(r"([A-Za-z]{3,})\d+")
_SWITCH: Final = re.compile(r"[a-z][A-Z]")
_REPEATED: Final = re.compile(r"\?(?:[.\-_/:]\?)+")


def redact_destination(name: str) -> str:
    """Return the name without parts that look like values: numbers, dates, identifiers, reply boxes.

    >>> [redact_destination(name) for name in ("orders.v2", "user-12345-events", "audit-2026-01-31", "_INBOX.x7Kq.9")]
    ['orders.v2', 'user-?-events', 'audit-?', '_INBOX.?']
    >>> redact_destination("session.3f2b8c1e-9d4a-4a63-9a1c-1f2e3d4c5b6a")
    'session.?'
    """
    name = name[:MAX_NAME]
    if name.startswith(_INBOX):
        return "_INBOX.?"
    if "@" in name:
        return "?"  # an address: no part of "ann.smith@example.com" may be reported
    if not name.isprintable():
        name = "".join(char if char.isprintable() else "?" for char in name)
    return _REPEATED.sub("?", _PART.sub(_part, name))


def redact_span_destination(system: str, name: str) -> str:
    """Redact a destination in a third-party span, by the naming rules of its system.

    >>> redact_span_destination("rabbitmq", "amq.gen-JzTY20BRgKO"), redact_span_destination("kafka", "orders.v2")
    ('amq.gen-?', 'orders.v2')
    """
    return amqp.redact_name(name) if system == "rabbitmq" else redact_destination(name)


def to_operation(text: str) -> str:
    """Return the first known operation in the text of a third-party span; the rest may be a destination.

    >>> to_operation("reply.3f2c1a9e publish"), to_operation("ann@example.com")
    ('publish', '')
    """
    return next((word for word in text[:MAX_OPERATION].lower().split() if word in OPERATIONS), "")


def _part(found: "re.Match[str]") -> str:
    part = found[0]
    if len(part) > MAX_PART:
        return "?"
    if _KEPT.fullmatch(part):
        return part
    if part.isdigit() or any(map(str.isdigit, part)):
        prefix = _PREFIX.fullmatch(part)
        return f"{prefix[1]}?" if prefix is not None else "?"
    # Letters alone may be random, too: a token in base64, with capitals in any position.
    return "?" if len(part) >= 16 and len(_SWITCH.findall(part)) > 3 else part


def to_statement(operation: str, names: "tuple[str, ...] | list[str]" = ()) -> str:
    """Return the statement of an operation: ``send orders``; destinations in alphabetical order, each once.

    >>> to_statement("delete_topics", ["b", "a", "b"])
    'delete_topics a,b'
    """
    redacted = sorted({redact_destination(name) for name in names})
    shown = redacted[:MAX_NAMES] + (["…"] if len(redacted) > MAX_NAMES else [])
    return f"{operation} {','.join(shown)}" if shown else operation
