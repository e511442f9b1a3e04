"""Canaries: words planted among the data that nobody ever asks for; where one comes back, somebody reads everything.

They are known to the app's process alone. A call's facts say that an answer held one, not which one and not where.
Where none is planted, nothing is looked at.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

MOST: Final = 64
SHORTEST: Final = 8
LONGEST: Final = 200
MAX_VALUES: Final = 10_000
"""Values of one answer that are looked at."""
MAX_CHARACTERS: Final = 1 << 20
"""Of all of them together, and ``MAX_VALUE`` of each."""
MAX_VALUE: Final = 65_536

_words: tuple[tuple[str, bytes], ...] = ()


def parse_canaries(text: str) -> tuple[str, ...]:
    """Canaries as the setting has them: words between commas.

    Raises:
        ValueError: Too many, or one that is too short to be nobody's by chance.

    >>> parse_canaries("canary.7f3a@example.com, 4929-0000-1111-2222")
    ('canary.7f3a@example.com', '4929-0000-1111-2222')
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if len(found) > MOST:
        raise ValueError(f"at most {MOST} canaries")
    if any(not SHORTEST <= len(word) <= LONGEST for word in found):
        raise ValueError(f"a canary has {SHORTEST} to {LONGEST} characters")
    return found


def set_canaries(words: Sequence[str]) -> None:
    """What is looked for from now on in this process."""
    global _words
    _words = tuple((word, word.encode()) for word in words)


def has_canaries() -> bool:
    """Whether there is any."""
    return bool(_words)


def contains_canary(reply: object) -> bool:
    """Whether a canary stands in a reply: a text, bytes, or lists, sets and mappings of them, down to a bound."""
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
    """Likewise for a result that is asked for cell by cell."""
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
    if len(value) < SHORTEST:
        return False
    if isinstance(value, str):
        text = str.__getitem__(value, _HEAD)
        return any(word in text for word, _ in _words)
    data = bytes.__getitem__(value, _HEAD)
    return any(word in data for _, word in _words)


_HEAD: Final = slice(MAX_VALUE)
