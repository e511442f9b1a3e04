"""AMQP: what was done to which exchange or queue; parts of a name that look like values become ``?``.

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
"""A worker of Celery's, by whose name it is told to do something."""

_known: dict[str, str] = {}
"""Names that leave as they are."""
_marked: dict[int | bytes, str] = {}
"""What else was seen, by its mark: raw it may be anything."""
MAX_REMEMBERED: Final = 2_048


def name(text: object) -> str:
    """The name of a queue, exchange or routing key without what looks like a value.

    >>> name("orders.eu.created"), name("reply.3f2c1a9e-0000-4000-8000-000000000000"), name("amq.gen-JzTY20BRgKO")
    ('orders.eu.created', 'reply.?', 'amq.gen-?')
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
            known = _learnt(text)
    return known


def _learnt(text: str) -> str:
    shown = _name(text)
    if shown == text:
        return remember(_known, shown, shown, MAX_REMEMBERED)
    return remember(_marked, keyed_hash(text), shown, MAX_REMEMBERED)


def statement(operation: str, *names: object) -> str:
    """What makes two operations the same.

    >>> statement("QUEUE.BIND", "mails", "events", "user.42.created")
    'QUEUE.BIND mails events user.?.created'
    """
    return " ".join([operation, *(shown for shown in map(name, names) if shown)])


def route(exchange: object, routing_key: object) -> str:
    """Where a message is sent: the exchange, and the key by which it is routed; of the default exchange the queue.

    >>> route("events", "order.created"), route("", "mails"), route("logs", "")
    ('events/order.created', '/mails', 'logs/')
    """
    return f"{name(exchange)}/{name(routing_key)}"


def _name(text: str) -> str:
    if "@" in text and not _NODE.fullmatch(text):
        return "?"  # an address: of "ann.smith@example.com" no part may stay
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
    """Whether it is a word of the app's rather than a value."""
    if not part:
        return True
    if len(part) > 40 or not _WORD.fullmatch(part) or _HEX.fullmatch(part):
        return False
    longest = max(map(len, re.split(r"[_~-]", part)))
    random = longest >= 16 and (part.isupper() or len(_MIXED.findall(part)) > 3)
    return not random and longest <= 24
