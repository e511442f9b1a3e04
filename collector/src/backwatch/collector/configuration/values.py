"""Parsers of settings: integers, numbers, flags and words, each within its bounds."""

import math
import re
from collections.abc import Callable
from dataclasses import Field
from pathlib import Path
from typing import Any, Final

MAX_CANARIES: Final = 64
MIN_CANARY_LENGTH: Final = 8
MAX_CANARY_LENGTH: Final = 200


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("is neither true nor false")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_one_of(*words: str) -> Callable[[str], str]:
    """Return a parser of one of these words."""

    def parse(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.strip().lower()

    return parse


def parse_instance_name(text: str) -> str:
    """Parse the name of a member of a consumer group, as Kafka takes it."""
    if text and (not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text) or text in (".", "..")):
        raise ValueError("must be at most 200 letters, digits, '.', '_' and '-'")
    return text


def parse_canaries(text: str) -> tuple[str, ...]:
    """Parse the setting: words between commas.

    Raises:
        ValueError: There are too many words, or one has a length out of bounds. A short word may occur by chance.

    >>> parse_canaries("canary.7f3a@example.com, 4929-0000-1111-2222")
    ('canary.7f3a@example.com', '4929-0000-1111-2222')
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if len(found) > MAX_CANARIES:
        raise ValueError(f"at most {MAX_CANARIES} canaries")
    if any(not MIN_CANARY_LENGTH <= len(word) <= MAX_CANARY_LENGTH for word in found):
        raise ValueError(f"a canary has {MIN_CANARY_LENGTH} to {MAX_CANARY_LENGTH} characters")
    return found


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: _number,
    bool: _boolean,
    Path: Path,
    tuple[str, ...]: _words,
}


def _parser(field: Field[Any]) -> Callable[[str], Any]:
    if field.metadata["parse"] is not None:
        return field.metadata["parse"]
    kind = field.type
    for candidate in (kind, *getattr(kind, "__args__", ())):
        if candidate in _PARSERS:
            return _PARSERS[candidate]
    raise TypeError(f"no parser for setting {field.name} of type {kind!r}")


def parse_value(field: Field[Any], text: str) -> Any:
    """Parse the value of a setting.

    Raises:
        ValueError: The text is invalid; the message is to follow the setting's name and value.
    """
    value = _parser(field)(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = field.metadata["least"], field.metadata["most"]
        if math.isnan(value) or not least <= value <= most:
            raise ValueError(f"must be from {least:g} to {most:g}")
    return value
