"""Names of topics, subjects, queues and groups: what an app makes up anew for each customer or reply is a value.

Pure functions, linear in the length of the name, which is bounded first.
"""

import re
from typing import Final

from backwatch.collector.redaction import amqp

MAX_NAME: Final = 255
MAX_PART: Final = 40
MAX_OPERATION: Final = 256
"""Characters in which a word for what is done is looked for."""
OPERATIONS: Final = frozenset((
    "publish", "send", "receive", "process", "deliver", "poll", "consume", "create", "settle", "ack", "nack",
    "reject", "commit", "peek", "subscribe",
))  # fmt: skip
"""What is done with messages, in OpenTelemetry's words and those of its instrumentations."""
MAX_NAMES: Final = 12
"""Destinations that one statement names; what is beyond is told as ``…``."""

_INBOX: Final = "_INBOX."
_PART: Final = re.compile(r"[^.\-_/:#]+")
_KEPT: Final = re.compile(r"v\d{1,3}|\d|[A-Za-z]{2,}\d{1,2}")
_PREFIX: Final = re.compile(r"([A-Za-z]{3,})\d+")
_SWITCH: Final = re.compile(r"[a-z][A-Z]")
_REPEATED: Final = re.compile(r"\?(?:[.\-_/:]\?)+")


def redact_destination(name: str) -> str:
    """The name without what looks like a value: numbers, dates, identifiers, reply boxes.

    >>> [redact_destination(name) for name in ("orders.v2", "user-12345-events", "audit-2026-01-31", "_INBOX.x7Kq.9")]
    ['orders.v2', 'user-?-events', 'audit-?', '_INBOX.?']
    >>> redact_destination("session.3f2b8c1e-9d4a-4a63-9a1c-1f2e3d4c5b6a")
    'session.?'
    """
    name = name[:MAX_NAME]
    if name.startswith(_INBOX):
        return "_INBOX.?"
    if "@" in name:
        return "?"  # an address: of "ann.smith@example.com" no part may stay
    if not name.isprintable():
        name = "".join(one if one.isprintable() else "?" for one in name)
    return _REPEATED.sub("?", _PART.sub(_part, name))


def redact_span_destination(system: str, name: str) -> str:
    """The same of somebody else's span, whose system says what its names are like.

    >>> redact_span_destination("rabbitmq", "amq.gen-JzTY20BRgKO"), redact_span_destination("kafka", "orders.v2")
    ('amq.gen-?', 'orders.v2')
    """
    return amqp.redact_name(name) if system == "rabbitmq" else redact_destination(name)


def to_operation(told: str) -> str:
    """The first word for what is done, of what somebody else's span tells; the rest of its name is where it goes.

    >>> to_operation("reply.3f2c1a9e publish"), to_operation("ann@example.com")
    ('publish', '')
    """
    return next((word for word in told[:MAX_OPERATION].lower().split() if word in OPERATIONS), "")


def _part(found: "re.Match[str]") -> str:
    part = found[0]
    if len(part) > MAX_PART:
        return "?"
    if _KEPT.fullmatch(part):
        return part
    if part.isdigit() or any(map(str.isdigit, part)):
        prefix = _PREFIX.fullmatch(part)
        return f"{prefix[1]}?" if prefix is not None else "?"
    # Letters alone may be random too: a token in base 64, in which capitals stand anywhere.
    return "?" if len(part) >= 16 and len(_SWITCH.findall(part)) > 3 else part


def to_statement(operation: str, names: "tuple[str, ...] | list[str]" = ()) -> str:
    """``send orders``; several destinations in alphabetical order, each once.

    >>> to_statement("delete_topics", ["b", "a", "b"])
    'delete_topics a,b'
    """
    told = sorted({redact_destination(name) for name in names})
    shown = told[:MAX_NAMES] + (["…"] if len(told) > MAX_NAMES else [])
    return f"{operation} {','.join(shown)}" if shown else operation
