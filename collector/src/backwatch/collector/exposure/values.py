"""Recognition of one value: which formats it meets, each with the chance that another value of its shape does."""

from collections.abc import Iterator
from typing import Final

from backwatch.collector.exposure import cards, national
from backwatch.collector.exposure.access_keys import contains_access_key
from backwatch.collector.exposure.emails import contains_email
from backwatch.collector.exposure.format import Format, shape_of, without_separators
from backwatch.collector.exposure.ibans import MAX_WRITTEN, is_iban
from backwatch.collector.exposure.phones import is_phone

MIN_LENGTH: Final = 6
"""No shorter value is of any kind."""
MAX_LENGTH: Final = 2_048
"""Characters of a value that are read."""
MAX_SHAPE: Final = 26
"""Characters of the longest number."""
SURE: Final = 0.0
"""Chance of a value that is evidence by itself."""
_MAX_WORDS: Final = 64
"""Words of a text that are read for numbers."""

Match = tuple[str, str, float]
"""Kind, name of the format, chance."""


def _formats_by_shape() -> dict[str, tuple[Format, ...]]:
    found: dict[str, tuple[Format, ...]] = {}
    for known in (*cards.FORMATS, *national.FORMATS):
        for shape in known.shapes:
            found[shape] = (*found.get(shape, ()), known)
    return found


_BY_SHAPE: Final = _formats_by_shape()


def find_matches(text: str) -> list[Match]:
    """Return the formats that a value meets.

    >>> find_matches("GB82 WEST 1234 5698 7654 32"), find_matches("ORD-2024-000123")
    ([('iban', 'iban', 0.0)], [])
    """
    text = text[:MAX_LENGTH].strip()
    size = len(text)
    if size < MIN_LENGTH:
        return []
    found: list[Match] = []
    if size <= MAX_SHAPE:
        shape = shape_of(text)
        candidates = _BY_SHAPE.get(shape, ())
        plain = without_separators(text) if candidates else ""
        found += [(known.kind, known.name, known.shapes[shape]) for known in candidates if known.is_valid(plain)]
        if found or "9" * size == shape:
            return found
    if text[0] == "+" and is_phone(text):
        return [("phone", "phone", SURE)]
    if size <= MAX_WRITTEN and is_iban(text):
        return [("iban", "iban", SURE)]
    if "@" in text and contains_email(text):
        found.append(("email", "email", SURE))
    if contains_access_key(text):
        found.append(("access-key", "access-key", SURE))
    if size > MAX_SHAPE and " " in text:
        found.extend(_find_in_words(text))
    return found


def _find_in_words(text: str) -> Iterator[Match]:
    """Yield what stands in a sentence and is evidence by itself: an account number, a card number in groups."""
    words = text.split(None, _MAX_WORDS)[:_MAX_WORDS]
    for at, raw in enumerate(words):
        word = raw.strip(".,;:!?()[]\"'")
        if not word[-1:].isdigit() and not word[:2].isupper():
            continue
        if len(word) >= 15 and is_iban(word):
            yield "iban", "iban", SURE
        elif word[:2].isalpha() and word[2:4].isdigit() and len(word) == 4:
            joined = " ".join(words[at : at + 9])
            yield from (("iban", "iban", SURE) for end in range(19, 43) if is_iban(joined[:end]))
        elif len(word) == 19 and word.count("-") == 3 and _is_card(word):
            yield "card", "card", SURE
        elif len(word) == 4 and word.isdigit():
            group = " ".join(words[at : at + 4]).rstrip(".,;:!?)")
            around = (*words[max(0, at - 1) : at], *words[at + 4 : at + 5])  # more groups: a longer number
            if len(group) == 19 and not any(other[-2:].isdigit() for other in around) and _is_card(group):
                yield "card", "card", SURE


def _is_card(text: str) -> bool:
    return shape_of(text) in cards.FORMATS[0].shapes and cards.is_card(without_separators(text))
