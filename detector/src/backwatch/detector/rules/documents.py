"""Read YAML documents of rules, filters and correlations. A file may hold several; depth and size are bounded."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from backwatch.detector.rules.conditions import RuleError

MAX_DEPTH: Final = 24
"""Levels of nesting in a document."""
MAX_VALUES: Final = 20_000
"""Values in a document; an alias counts each time it is used."""

_DIVIDER: Final = re.compile(r"---(?=\s|$)")
_IDLE: Final = re.compile(r"\s*(?:#.*)?|---\s*(?:#.*)?|\.\.\.\s*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        line: The file's line, from 1, on which ``text`` starts.
    """

    text: str
    line: int


def split_documents(text: str) -> list[Document]:
    r"""Split a file into its documents. One with comments alone is skipped, unless there is no other.

    The file is split before it is parsed, so that a broken document does not affect its neighbours.


    >>> [(document.text, document.line) for document in split_documents("a: 1\n---\n# nothing\n---\nb: 2\n")]
    [('a: 1\n', 1), ('---\nb: 2\n', 4)]
    """
    lines = text.splitlines(keepends=True)
    starts = [0, *(at for at, line in enumerate(lines) if at and _DIVIDER.match(line)), len(lines)]
    parts = [(lines[low:high], low + 1) for low, high in itertools.pairwise(starts)]
    found = [Document("".join(part), line) for part, line in parts if not all(map(_is_idle, part))]
    return found or [Document(text, 1)]


def _is_idle(line: str) -> bool:
    return _IDLE.fullmatch(line.rstrip("\r\n")) is not None


def load_document(text: str, source: str) -> dict[str, Any]:
    """Parse one document.

    Args:
        source: Name of the document in errors.

    Raises:
        RuleError: The document is not valid YAML, not a mapping, too deep or too large.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = str(error).replace('in "<unicode string>", ', "at ")  # the error names the file already
        raise RuleError(source, "document", f"is not one YAML document: {problem}") from None
    except RecursionError:
        raise RuleError(source, "document", f"is more than {MAX_DEPTH} levels deep") from None
    except (ValueError, OverflowError, TypeError, AttributeError, KeyError, IndexError) as error:
        # PyYAML converts texts that only look like dates and numbers.
        raise RuleError(source, "document", f"is not one YAML document: {error}") from None
    if not isinstance(document, dict):
        raise RuleError(source, "document", "is not a mapping of fields")
    for count, (value, depth) in enumerate(_values(document)):
        if depth > MAX_DEPTH:
            raise RuleError(source, "document", f"is more than {MAX_DEPTH} levels deep")
        if count > MAX_VALUES:
            raise RuleError(source, "document", f"has more than {MAX_VALUES} values")
        if isinstance(value, dict) and not all(isinstance(key, str) for key in cast("dict[Any, Any]", value)):
            raise RuleError(source, "document", "has a field whose name is not a text; quote it")
    return cast("dict[str, Any]", document)


def _values(document: Any) -> Iterator[tuple[Any, int]]:
    """Yield every value with its depth, without recursion: an alias may refer to its own container."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in cast("dict[Any, Any]", value).values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(item, depth + 1) for item in cast("list[Any]", value)]
