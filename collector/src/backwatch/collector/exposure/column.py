"""The values of one column: a kind counts once enough of them agree.

A single number that looks like a card's may be an order's. So a format that other values meet by chance counts where
several different values of the same column meet it, and nearly all of those that were read.
"""

from typing import Final

from backwatch.collector import names
from backwatch.collector.exposure.columns import hints_of_name, kinds_of_name
from backwatch.collector.exposure.format import count_needed
from backwatch.collector.exposure.values import find_matches
from backwatch.collector.runtime.keyed_cache import keyed_hash

MAX_FORMATS: Final = 8
"""Formats of one column whose values are counted."""
MAX_DIFFERENT: Final = 8
MIN_SHARE: Final = 0.9
"""Share of a column's values that must meet a format that is met by chance."""
_BIT: Final = {kind: 1 << at for at, kind in enumerate(names.DATA_KINDS)}


class Column:
    """Values of one column: how many were read, and which different ones met each format.

    Of a value that met one, a hash keyed by this process's secret is kept, and no longer than the tally.
    """

    __slots__ = ("formats", "hints", "read", "settled")

    def __init__(self, name: str) -> None:
        self.hints = hints_of_name(name) | kinds_of_name(name)
        self.read = 0
        self.formats: dict[str, tuple[set[int | bytes], int]] = {}
        """By format, the different values and how many met it."""
        self.settled = 0

    def add(self, text: str) -> int:
        """Add a value; return the kinds of the column, as bits."""
        self.read += 1
        for kind, name, chance in find_matches(text):
            needed = 1 if chance == 0 or self.hints & _BIT[kind] else count_needed(chance)
            if needed > 1:
                different, count = self.formats.get(name) or (set[int | bytes](), 0)
                if name not in self.formats and len(self.formats) >= MAX_FORMATS:
                    continue
                if len(different) < MAX_DIFFERENT:
                    different.add(keyed_hash(text))
                self.formats[name] = (different, count + 1)
                if len(different) < needed or count + 1 < MIN_SHARE * self.read:
                    continue
            self.settled |= _BIT[kind]
        return self.settled
