"""Canaries: words that an operator plants in the data. A response that contains one is a bulk read.

Only the app's process knows them. A call's facts report that a response contained a canary, not which one or where.
Without canaries no response is searched.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector.configuration.values import MIN_CANARY_LENGTH

MAX_VALUES: Final = 10_000
"""Values of one response that are searched."""
MAX_CHARACTERS: Final = 1 << 20
"""Characters searched in one response, at most ``MAX_VALUE`` in each value."""
MAX_VALUE: Final = 65_536

_words: tuple[tuple[str, bytes], ...] = ()


def set_canaries(words: Sequence[str]) -> None:
    """Set the canaries of this process."""
    global _words
    _words = tuple((word, word.encode()) for word in words)


def has_canaries() -> bool:
    """Return whether any canary is set."""
    return bool(_words)


def contains_canary(reply: object) -> bool:
    """Return whether a response contains a canary: a text, bytes, or nested collections of them, up to a bound."""
    level: deque[Any] = deque((reply,))
    left = MAX_CHARACTERS
    for _ in range(MAX_VALUES):
        if not level or left <= 0:
            return False
        value = level.popleft()
        if isinstance(value, (str, bytes)):
            left -= min(len(value), MAX_VALUE)
            if _stands_in(value):
                return True
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            members = value.values() if isinstance(value, dict) else value
            level.extend(islice(members, max(MAX_VALUES - len(level), 0)))
    return False


def cells_contain_canary(cell: Callable[[int, int], object], rows: int, columns: int) -> bool:
    """Return whether a result that is read cell by cell contains a canary."""
    left = MAX_CHARACTERS
    for row in range(min(rows, MAX_VALUES // max(columns, 1))):
        for column in range(columns):
            value = cell(row, column)
            if isinstance(value, (str, bytes)):
                left -= min(len(value), MAX_VALUE)
                if _stands_in(value):
                    return True
                if left <= 0:
                    return False
    return False


def _stands_in(value: "str | bytes") -> bool:
    if len(value) < MIN_CANARY_LENGTH:
        return False
    if isinstance(value, str):
        text = str.__getitem__(value, _HEAD)
        return any(word in text for word, _ in _words)
    data = bytes.__getitem__(value, _HEAD)
    return any(word in data for _, word in _words)


_HEAD: Final = slice(MAX_VALUE)
