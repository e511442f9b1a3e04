"""What text and numbers may enter the store: bounded, and such that no engine refuses them.

PostgreSQL refuses NUL in text and no engine stores half a surrogate pair; an attacker who could write either into a key
would stop the shard, since its commit could never succeed. A sum beyond 64 bits would do the same.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

LEVELS: Final[tuple[str, ...]] = ("informational", "low", "medium", "high", "critical")
KEY_LIMIT: Final = 4_000
EVIDENCE_LIMIT: Final = 8_000
_INT_LIMIT: Final = 2**63 - 1
_DEPTH: Final = 6
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_ITEMS: Final = 100


def level_rank(level: str) -> int:
    """0 for informational … 4 for critical; an unknown word counts as medium, so that it is seen.

    >>> level_rank("high"), level_rank("urgent")
    (3, 2)
    """
    return LEVELS.index(level) if level in LEVELS else 2


def clean(text: str, limit: int = KEY_LIMIT) -> str:
    r"""The text, cut to ``limit`` characters, without NUL and without half surrogate pairs.

    >>> clean("a\x00b\ud800c", 4)
    'a�b�'
    """
    return _UNSTORABLE.sub("\ufffd", text[:limit])


def whole(number: int) -> int:
    """The number, held within what a column takes."""
    return max(-_INT_LIMIT, min(_INT_LIMIT, int(number)))


def amount(number: int) -> int:
    """The count, from 0 to what a column takes."""
    return max(0, min(_INT_LIMIT, int(number)))


def as_json(value: Mapping[str, Any] | Sequence[Any], limit: int = EVIDENCE_LIMIT) -> str:
    r"""Sorted ASCII JSON of at most ``limit`` characters: ever shorter texts inside until it fits.

    What is shorter than it was ends in an ellipsis.

    >>> as_json({"b": 1, "a": "x" * 50}, 40)
    '{"a": "xxxxxxxxx\\u2026", "b": 1}'
    """
    length, items = 2_000, _ITEMS
    while True:
        text = json.dumps(_plain(value, length, items, _DEPTH), sort_keys=True)
        if len(text) <= limit or (length < 8 and items < 2):
            return text if len(text) <= limit else "{}"
        length, items = min(length // 2, limit // 2), (items if length >= 64 else items // 2)


def from_json(text: str) -> Any:
    """What :func:`as_json` wrote."""
    return json.loads(text) if text else {}


def _plain(value: Any, length: int, items: int, depth: int) -> Any:
    """The value as JSON knows it: bounded in length, breadth and depth."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value, length) if len(value) <= length else f"{clean(value, length - 1)}…"
    if isinstance(value, int):
        return whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        pairs = list(cast("Mapping[Any, Any]", value).items())[:items]
        return {clean(str(key), 200): _plain(inner, length, items, depth - 1) for key, inner in pairs}
    if depth and isinstance(value, list | tuple | set | frozenset):
        inner_values = cast("Sequence[Any]", sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        return [_plain(inner, length, items, depth - 1) for inner in list(inner_values)[:items]]
    if hasattr(value, "item"):  # a NumPy scalar
        return _plain(value.item(), length, items, 0)
    return clean(str(value), length)
