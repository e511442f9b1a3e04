"""YAML documents of rules, filters and correlations: one file may hold several, and none can do harm by its shape."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from backwatch.detector.rules.conditions import RuleError

DEEPEST: Final = 24
"""Levels of a document."""
LARGEST: Final = 20_000
"""Values of a document, those that are written once and named again counted each time."""

_DIVIDER: Final = re.compile(r"---(?=\s|$)")
_IDLE: Final = re.compile(r"\s*(?:#.*)?|---\s*(?:#.*)?|\.\.\.\s*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        line: The file's line, from 1, that ``text`` begins on.
    """

    text: str
    line: int


def split(text: str) -> list[Document]:
    r"""The documents of a file; one that holds nothing but comments is none, unless there is no other.

    They are divided before they are parsed, so that a broken one leaves its neighbours alone.

    >>> [(one.text, one.line) for one in split("a: 1\n---\n# nothing\n---\nb: 2\n")]
    [('a: 1\n', 1), ('---\nb: 2\n', 4)]
    """
    lines = text.splitlines(keepends=True)
    starts = [0, *(at for at, line in enumerate(lines) if at and _DIVIDER.match(line)), len(lines)]
    parts = [(lines[low:high], low + 1) for low, high in itertools.pairwise(starts)]
    found = [Document("".join(part), line) for part, line in parts if not all(map(_is_idle, part))]
    return found or [Document(text, 1)]


def _is_idle(line: str) -> bool:
    return _IDLE.fullmatch(line.rstrip("\r\n")) is not None


def load(text: str, source: str) -> dict[str, Any]:
    """One document's fields.

    Args:
        source: What to call the document in an error.

    Raises:
        RuleError: It is no YAML, not a mapping, or too deep or too large to be read.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = str(error).replace('in "<unicode string>", ', "at ")  # the file is named by whoever tells it
        raise RuleError(source, "document", f"is not one YAML document: {told}") from None
    except RecursionError:
        raise RuleError(source, "document", f"is more than {DEEPEST} levels deep") from None
    except (ValueError, OverflowError, TypeError, AttributeError, KeyError, IndexError) as error:
        # PyYAML makes dates and numbers of texts that only look like them.
        raise RuleError(source, "document", f"is not one YAML document: {error}") from None
    if not isinstance(document, dict):
        raise RuleError(source, "document", "is not a mapping of fields")
    for count, (value, depth) in enumerate(_values(document)):
        if depth > DEEPEST:
            raise RuleError(source, "document", f"is more than {DEEPEST} levels deep")
        if count > LARGEST:
            raise RuleError(source, "document", f"has more than {LARGEST} values")
        if isinstance(value, dict) and not all(isinstance(key, str) for key in cast("dict[Any, Any]", value)):
            raise RuleError(source, "document", "has a field whose name is no text; put it into quotes")
    return cast("dict[str, Any]", document)


def _values(document: Any) -> Iterator[tuple[Any, int]]:
    """Every value and its depth, without recursion: an alias may stand for what holds it."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for one in cast("dict[Any, Any]", value).values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(one, depth + 1) for one in cast("list[Any]", value)]
