"""The type of a registered format: a way in which values of one kind are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, log
from typing import Final

MAX_CHANCE: Final = 1 / 400
"""A value that meets a format by chance less often is evidence by itself."""
MAX_COLUMN_CHANCE: Final = 1.1e-4
"""Chance at which the values of a column together are evidence."""

_DIGITS: Final = dict.fromkeys(map(ord, "0123456789"), "9")
_LETTERS: Final = {ord(letter): "A" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_SHAPE: Final = str.maketrans(_DIGITS | _LETTERS)
_SEPARATORS: Final = str.maketrans("", "", " -./()")


@dataclass(frozen=True, slots=True)
class Format:
    """A format of values of one kind.

    Attributes:
        kind: Word of ``names.DATA_KINDS``.
        name: Name of the format, for the benchmark.
        shapes: Each way to write it, digits as ``9`` and letters as ``A``, with the chance that another value of
            that shape passes the check.
        is_valid: Checks a value without separators, in upper case.
    """

    kind: str
    name: str
    shapes: Mapping[str, float]
    is_valid: Callable[[str], bool] = field(repr=False)


def shape_of(text: str) -> str:
    """Return a text with its digits as ``9`` and its letters as ``A``.

    >>> shape_of("X1234567-l")
    'A9999999-A'
    """
    return text.translate(_SHAPE)


def without_separators(text: str) -> str:
    """Return a text without blanks and the separators of numbers, in upper case."""
    return text.translate(_SEPARATORS).upper()


def count_needed(chance: float) -> int:
    """Return how many different values of a column must meet a format to be evidence of it.

    >>> count_needed(1 / 1000), count_needed(1 / 10), count_needed(1 / 23)
    (1, 4, 3)
    """
    return 1 if chance <= MAX_CHANCE else ceil(log(MAX_COLUMN_CHANCE) / log(chance))
