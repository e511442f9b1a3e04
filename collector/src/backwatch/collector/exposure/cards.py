"""Card numbers: length and prefix of an issuer, check digit, and the usual groups."""

from typing import Final

from backwatch.collector.exposure.checks import passes_luhn
from backwatch.collector.exposure.format import Format

_BY_CHANCE: Final = 0.05
"""A tenth has the right check digit. A fifth has an issuer's prefix, but other numbers often begin all alike."""
_IN_GROUPS: Final = 1 / 1_000
"""Other numbers are rarely written in these groups."""


def _has_issuer(digits: str) -> bool:
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    if length == 14:  # Diners Club
        return two in (36, 38, 39) or 3000 <= four <= 3059
    if length == 15:  # American Express
        return two in (34, 37)
    if length == 19:  # UnionPay, Visa
        return two == 62 or digits[0] == "4"
    if digits[0] == "4" or 51 <= two <= 55 or 2221 <= four <= 2720:  # Visa, Mastercard
        return True
    if two in (62, 65, 81) or four == 6011 or 644 <= four // 10 <= 649:  # UnionPay, Discover, RuPay
        return True
    return 3528 <= four <= 3589 or 2200 <= four <= 2204 or four in (5018, 5020, 5038, 6304, 6759, 6761, 6762, 6763)


def is_card(digits: str) -> bool:
    """Return whether the digits are a card number.

    >>> is_card("4111111111111111"), is_card("371449635398431"), is_card("9111111111111111")
    (True, True, False)
    """
    return _has_issuer(digits) and passes_luhn(digits) and len(set(digits)) > 1


def _grouped(*groups: str) -> dict[str, float]:
    written = [tuple(map(int, text.split())) for text in groups]
    return {mark.join("9" * size for size in sizes): _IN_GROUPS for sizes in written for mark in " -"}


FORMATS: Final = (
    Format(
        "card", "card",
        dict.fromkeys(("9" * 14, "9" * 15, "9" * 16, "9" * 19), _BY_CHANCE)
        | _grouped("4 4 4 4", "4 6 5", "4 6 4", "4 4 4 4 3", "6 13"),
        is_card,
    ),
)  # fmt: skip
