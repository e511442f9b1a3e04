"""Values that the app itself writes: a new format of its own explains the same format when it is read.

A write is inspected where its statement is new in this process, where the value begins unlike those before, and now and
then. So a release's first writes are inspected, and a usual write costs two look-ups.
"""

from collections.abc import Sequence
from typing import Final

from backwatch.collector.payload.formats import describe_written
from backwatch.collector.runtime.record import Facts

MAX_STATEMENTS: Final = 1_024
"""Statements whose writes are counted; then all are counted anew."""
MAX_HEADS: Final = 8
"""Beginnings of values that are known of one statement; further ones are inspected each time."""
FIRST_WRITES: Final = 32
"""Writes of a statement that are inspected in a process, one after the other."""
INTERVAL: Final = 16
"""Of the later ones, each sixteenth is inspected."""
_HEAD: Final = 2
_SHORT: Final = 3

_seen: dict[str, tuple[int, frozenset[bytes | str]]] = {}
"""By statement: writes, and beginnings of values."""


def written_facts(statement: str, values: Sequence[object]) -> Facts:
    """Return the fact of values that are written, if they are inspected and have a format.

    Args:
        statement: The redacted command.
    """
    first = values[0] if values else None
    if not isinstance(first, (bytes, str)) or len(first) < _SHORT:
        return ()
    count, heads = _seen.get(statement) or (0, frozenset[bytes | str]())
    head = first[:_HEAD]
    if head not in heads and len(heads) < MAX_HEADS:
        heads |= {head}
    elif head in heads and count >= FIRST_WRITES and count % INTERVAL:
        _seen[statement] = (count + 1, heads)
        return ()
    if len(_seen) >= MAX_STATEMENTS and statement not in _seen:
        _seen.clear()
    _seen[statement] = (count + 1, heads)
    return describe_written(first if len(values) == 1 else list(values))
