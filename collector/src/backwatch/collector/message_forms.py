"""The form of a message that a topic brought: what its value begins as, and which of key, trace and headers came along.

Who may write into a topic can forge a message, but has to know how those look that belong there. A form is two or
three words of fixed lists, never anything of the message's own; a poll tells each one once. Tombstones have none.
"""

import re
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.record import AttributeValue

Facts = tuple[tuple[str, AttributeValue], ...]

HEAD: Final = 32
"""Bytes or characters of a value that are looked at."""
MAX_HEADERS: Final = 32
MOST: Final = 16
"""Forms that are told of one call."""

_PARTS: Final = names.FORM_PARTS
_KEY, _TRACE, _HEADERS = (1 << at for at in range(len(_PARTS)))
_EACH: Final = 1 << len(_PARTS)
_OF_VALUE: Final = {word: at * _EACH for at, word in enumerate(names.FORM_VALUES)}
_CARRIERS: Final = frozenset((
    "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-parentspanid",
    "uber-trace-id", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-tags",
    "sentry-trace", "elastic-apm-traceparent", "x-amzn-trace-id", "sw8",
))  # fmt: skip
"""Headers by which a producer's trace goes on in the consumer."""
_JSON: Final = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]0-9tfn-])')
_XML: Final = re.compile(r"\s*<[?!A-Za-z]")
_WIRE: Final = 5
"""Bytes of a schema registry's mark: a zero, and four of the schema's number."""


def form_of(value: object, key: object, headers: Any) -> int:
    """One message's form, as a number with one bit; 0: it has no value.

    Args:
        value: As it came, or as the app's own function read it.
        key: Likewise; ``None``: there is none.
        headers: Pairs of name and value, or nothing.

    >>> told(form_of(b'{"order": 7}', b"7", [("traceparent", b"00-0a-0b-01")]) | form_of(b"<order/>", None, ()))
    (('backwatch.message.forms', 'json+key+trace,xml'),)
    """
    word = _value(value)
    if not word:
        return 0
    at = _OF_VALUE[word] + (_KEY if key is not None else 0)
    if headers:
        for name, _ in headers[:MAX_HEADERS]:
            at |= _TRACE if str(name).lower() in _CARRIERS else _HEADERS
    return 1 << at


def told(forms: int) -> Facts:
    """The fact of a call whose messages had these forms, each once, in a fixed order."""
    found: list[str] = []
    for at in range(forms.bit_length()):
        if forms >> at & 1:
            parts = [part for bit, part in enumerate(_PARTS) if at >> bit & 1]
            found.append("+".join((names.FORM_VALUES[at // _EACH], *parts)))
            if len(found) == MOST:
                break
    return ((names.MESSAGE_FORMS, ",".join(found)),) if found else ()


def _value(value: object) -> str:
    # No subclass: the app's own may do anything when it is read.
    if type(value) is bytes or type(value) is bytearray:
        if value[:1] == b"\0" and len(value) >= _WIRE:
            return "registry"
        text = value[:HEAD].decode("latin-1")
    elif type(value) is str:
        text = value[:HEAD]
    else:
        return "" if value is None else "object"
    if _JSON.match(text):
        return "json"
    if _XML.match(text):
        return "xml"
    return "other" if text else ""
