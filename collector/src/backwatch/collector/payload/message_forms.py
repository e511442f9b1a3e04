"""Message forms: how a message's value begins, and whether it has a key, a trace and other headers.

An attacker who may write to a topic can forge a message, but must know what genuine messages look like. A form is a few
words of fixed lists, never content of the message. A poll reports each form once. Tombstones have none.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names
from backwatch.collector.runtime.guard import never_breaks_the_host

if TYPE_CHECKING:
    from backwatch.collector.runtime.record import Facts

HEAD: Final = 32
"""Bytes or characters of a value, and characters of a header's name, that are read."""
MAX_HEADERS: Final = 32

_PARTS: Final = names.FORM_PARTS
_KEY, _TRACE, _HEADERS = (1 << at for at in range(len(_PARTS)))
_EACH: Final = 1 << len(_PARTS)
FORMS: Final = tuple(
    "+".join((value, *(part for bit, part in enumerate(_PARTS) if parts >> bit & 1)))
    for value in names.FORM_VALUES
    for parts in range(_EACH)
)
"""All forms, in the order of their bits."""
_OF_VALUE: Final = {word: at * _EACH for at, word in enumerate(names.FORM_VALUES)}
_CARRIERS: Final = (
    "traceparent", "tracestate", "b3", "x-b3-", "uber-trace-id", "uberctx-", "x-datadog-", "sentry-trace",
    "elastic-apm-", "x-amzn-trace-id", "sw8", "newrelic", "ot-tracer-", "grpc-trace-bin", "x-cloud-trace-context",
)  # fmt: skip
"""Prefixes of headers that carry a producer's trace context. ``baggage`` may come without a trace."""
_NEITHER: Final = "baggage"
_JSON: Final = re.compile(r'\ufeff?(?:\{\s*(?:["}]|\Z)|\[\s*(?:[\[{"\]0-9tfn-]|\Z))')
_XML: Final = re.compile(r"\ufeff?<[?!A-Za-z]")
_MARK: Final = 5
"""Bytes of a schema registry's prefix: a zero, and four of the schema's number."""


@never_breaks_the_host
def detect_form(message: Any) -> int:
    """Return a message's form as a number with one bit set; 0: the message has no value.

    Args:
        message: A message of kafka-python or aiokafka; the app's own deserialiser may have made its value.
    """
    word = _value(message.value)
    if not word:
        return 0
    at = _OF_VALUE[word] + (_KEY if message.serialized_key_size >= 0 else 0)
    headers = message.headers
    if headers:
        for name, _ in headers[:MAX_HEADERS]:
            head = name[:HEAD].lower()
            if head.startswith(_CARRIERS):
                at |= _TRACE
            elif head != _NEITHER:
                at |= _HEADERS
    return 1 << at


def to_facts(forms: int) -> "Facts":
    """Return the fact of a call whose messages had these forms, each once, in a fixed order.

    >>> to_facts(0b1011)
    (('backwatch.message.forms', 'json,json+key,json+key+trace'),)
    """
    found = [form for at, form in enumerate(FORMS) if forms >> at & 1]
    return ((names.MESSAGE_FORMS, ",".join(found)),) if found else ()


def _value(value: object) -> str:
    # No subclass: one of the app's may run any code when it is read.
    if type(value) is bytes or type(value) is bytearray:
        if value[:1] == b"\0" and len(value) >= _MARK:
            return "registry"
        text = value[:HEAD].decode("utf-8", "replace")
    elif type(value) is str:
        text = value[:HEAD]
    elif type(value) is dict or type(value) is list:
        return "json"
    else:
        return "" if value is None else "object"
    if _JSON.match(text):
        return "json"
    if _XML.match(text):
        return "xml"
    return "other" if text else ""
