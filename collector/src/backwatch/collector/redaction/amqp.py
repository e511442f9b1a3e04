"""AMQP: the operation and its exchange or queue; parts of a name that look like values become ``?``.

Names of exchanges, queues and routing keys are the app's own words, joined by dots and the like. What is random in them
(reply queues, queues that the broker names, identifiers in routing keys) is a value.
"""

import re
from typing import Final

from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

MAX_NAME: Final = 255
MAX_PARTS: Final = 12

_PART: Final = re.compile(r"([./:|@#\s]+)")
_WORD: Final = re.compile(r"(?:v[0-9]{1,3}|\*|_{0,2}[A-Za-z]+(?:[_~-][A-Za-z]+)*[0-9]?)")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{8,}")
_MIXED: Final = re.compile(r"[a-z][A-Z]")
_GENERATED: Final = ("amq.gen-", "amq.ctag-", "amq.rabbitmq.reply-to.")

_NODE: Final = re.compile(r"celery@[\w.-]{1,200}|[\w-]{1,60}@[\w.-]{1,200}\.celery\.pidbox")
"""A Celery worker, in whose queue remote control commands arrive."""

_known: dict[str, str] = {}
"""Cached names that are reported unchanged."""
_marked: dict[int | bytes, str] = {}
"""Cached results for other names, by keyed hash: the raw name may be anything."""
MAX_REMEMBERED: Final = 2_048


def redact_name(text: object) -> str:
    """Return the name of a queue, exchange or routing key without parts that look like values.

    >>> texts = ("orders.eu.created", "reply.3f2c1a9e-0000-4000-8000-000000000000", "amq.gen-JzTY20BRgKO")
    >>> [redact_name(text) for text in texts]
    ['orders.eu.created', 'reply.?', 'amq.gen-?']
    """
    if type(text) is not str:
        if isinstance(text, bytes):
            text = text[:MAX_NAME].decode("utf-8", "replace")
        elif not isinstance(text, str):
            return "" if text is None else "?"
    text = text[:MAX_NAME]
    known = _known.get(text)
    if known is None:
        known = _marked.get(keyed_hash(text))
        if known is None:
            known = _redact_new(text)
    return known


def _redact_new(text: str) -> str:
    shown = _name(text)
    if shown == text:
        return remember(_known, shown, shown, MAX_REMEMBERED)
    return remember(_marked, keyed_hash(text), shown, MAX_REMEMBERED)


def to_statement(operation: str, *names: object) -> str:
    """Return the statement of an operation.

    >>> to_statement("QUEUE.BIND", "mails", "events", "user.42.created")
    'QUEUE.BIND mails events user.?.created'
    """
    return " ".join([operation, *(shown for shown in map(redact_name, names) if shown)])


def redact_route(exchange: object, routing_key: object) -> str:
    """Return a message's destination: exchange and routing key; for the default exchange the queue.

    >>> redact_route("events", "order.created"), redact_route("", "mails"), redact_route("logs", "")
    ('events/order.created', '/mails', 'logs/')
    """
    return f"{redact_name(exchange)}/{redact_name(routing_key)}"


def _name(text: str) -> str:
    if "@" in text and not _NODE.fullmatch(text):
        return "?"  # an address: no part of "ann.smith@example.com" may be reported
    for start in _GENERATED:
        if text.startswith(start):
            return start + "?"
    pieces = _PART.split(text)
    shown = [
        piece if at % 2 == 0 and _plain(piece) else (_separator(piece) if at % 2 else "?")
        for at, piece in enumerate(pieces[: 2 * MAX_PARTS + 1])
    ]
    return "".join(shown) + ("…" if len(pieces) > 2 * MAX_PARTS + 1 else "")


def _separator(piece: str) -> str:
    return piece.strip()[:3] or " "


def _plain(part: str) -> bool:
    """Return whether a part is a word of the app and not a value."""
    if not part:
        return True
    if len(part) > 40 or not _WORD.fullmatch(part) or _HEX.fullmatch(part):
        return False
    longest = max(map(len, re.split(r"[_~-]", part)))
    random = longest >= 16 and (part.isupper() or len(_MIXED.findall(part)) > 3)
    return not random and longest <= 24
