"""The columns of a call, derived from the registry of facts: name, kind, older names, and where each is reported.

Session facts are read from the attributes of scope and span, and the span wins. Facts of a call are read from its span
alone. The app's identity is read from the OTLP resource alone, and no span overrides it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backwatch.collector import facts
from backwatch.collector.facts.fact import Scope, Type

TEXT, NUMBER, FLAG = range(3)

RESOURCE, SCOPE, SPAN, EVENT = 1, 2, 4, 8
"""Where an attribute may stand, as bits."""
SESSION: Final = SCOPE | SPAN

MAX_SPANS: Final = 100_000
"""Spans in one record; a record with more is malformed."""
MAX_SMALL_SPANS: Final = 4_096
MIN_SPAN_BYTES: Final = 16
"""A record with more than ``MAX_SMALL_SPANS`` spans is malformed if they are smaller than this on average. A call costs
two kilobytes of columns, so 400 kB of empty spans that inherit everything from their scope would cost 250 MB."""
MAX_ATTRIBUTES: Final = 128
"""Attributes read from one resource, scope, span or event; the rest is only counted."""
LARGEST: Final = 1 << 40
"""Numbers saturate here, so that sums over a window stay far from the end of 64 bits."""
LATEST_NS: Final = 1 << 62
"""Later times (after the year 2116), and 0, count as absent."""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: Attribute name of the span contract.
        kind: ``TEXT``, ``NUMBER`` or ``FLAG``.
        levels: Bits of the places where it is reported.
        aliases: Older and similar names, best first. Each yields to the names before it.
    """

    name: str
    kind: int
    levels: int
    aliases: tuple[str, ...] = ()


_KINDS: Final[Mapping[Type, int]] = {"text": TEXT, "words": TEXT, "number": NUMBER, "flag": FLAG}
_LEVELS: Final[Mapping[Scope, int]] = {
    "app": RESOURCE, "session": SESSION, "call": SPAN, "exception": SPAN | EVENT, "span": 0,
}  # fmt: skip

COLUMNS: Final = tuple(Column(fact.name, _KINDS[fact.type], _LEVELS[fact.scope], fact.older) for fact in facts.REPORTED)


def _list_names(kind: int) -> tuple[str, ...]:
    return tuple(column.name for column in COLUMNS if column.kind == kind)


TEXTS: Final = _list_names(TEXT)
NUMBERS: Final = _list_names(NUMBER)
FLAGS: Final = _list_names(FLAG)
TEXT_INDEX: Final = {name: index for index, name in enumerate(TEXTS)}
NUMBER_INDEX: Final = {name: index for index, name in enumerate(NUMBERS)}
FLAG_INDEX: Final = {name: index for index, name in enumerate(FLAGS)}

SESSION_COLUMNS: Final = tuple(column for column in COLUMNS if column.levels == SESSION)
"""Columns of the connection and of the resource behind it."""

OWN_PREFIX: Final = "backwatch."
"""Prefix of Backwatch's own names. Under a newer contract they are not read, because their meaning may have changed."""

VERBATIM_SYSTEMS: Final = ("redis", "valkey", "memcached", "keydb", "dragonfly")
"""Systems whose ``db.query.text`` is a command line instead of SQL."""
DOCUMENT_SYSTEMS: Final = ("mongodb", "documentdb", "elasticsearch", "opensearch")
"""Systems whose statements are shapes of documents."""
