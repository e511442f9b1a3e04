"""What was found so far in the names and values of one statement."""

from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.exposure.columns import kinds_of_name
from backwatch.collector.runtime.keyed_cache import keyed_hash

if TYPE_CHECKING:
    from backwatch.collector.exposure.column import Column

MAX_COLUMNS: Final = 48
"""Columns that are remembered of one statement."""
_MIN_NUMBER: Final = 10**7
_MAX_BITS: Final = 64
_MAX_BYTES: Final = 4_096


class Tally:
    """Columns and kinds of one statement in one direction.

    Attributes:
        calls: Calls of the statement; ``counted`` of them are in the sampler's budget.
        next_at: The call that may be read next.
        cells: Names and values that were read.
        kinds: Kinds that were found, as bits.
        facts: The same as facts of a call.
    """

    __slots__ = ("calls", "cells", "columns", "counted", "facts", "kinds", "next_at")

    def __init__(self) -> None:
        self.calls = self.cells = self.counted = self.next_at = 0
        self.kinds = 0
        self.facts: tuple[tuple[str, str], ...] = ()
        self.columns: dict[int | bytes, Column] = {}
        """By a keyed hash of the name."""

    def add_name(self, name: str) -> None:
        """Add what the name of a column or field shows."""
        self.kinds |= kinds_of_name(name)

    def add_value(self, name: str, value: Any) -> None:
        """Add a value of a column, if it is exactly a text, bytes or a whole number."""
        kind = value.__class__
        if kind is bytes:
            text = value[:_MAX_BYTES].decode("utf-8", "ignore")
        elif kind is str:
            text = value
        elif kind is int and value >= _MIN_NUMBER and value.bit_length() <= _MAX_BITS:
            text = str(value)
        else:
            return
        key = keyed_hash(name)
        column = self.columns.get(key)
        if column is None:
            if len(self.columns) >= MAX_COLUMNS:
                return
            from backwatch.collector.exposure.column import Column  # its patterns are needed by values alone

            column = self.columns[key] = Column(name)
        self.kinds |= column.add(text)
