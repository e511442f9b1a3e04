"""Check digits and dates that several formats share."""

from collections.abc import Sequence
from typing import Final

_DAYS: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_VERHOEFF_PRODUCT: Final = tuple(
    tuple(map(int, row))
    for row in (
        "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
        "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
    )
)  # fmt: skip
_VERHOEFF_PLACE: Final = tuple(
    tuple(map(int, row))
    for row in (
        "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
    )
)  # fmt: skip


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of ISO/IEC 7812.

    >>> passes_luhn("4111111111111111"), passes_luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place & 1 else int(digit)
    return total % 10 == 0


def passes_verhoeff(digits: str) -> bool:
    """Return whether the last digit is the check digit of Verhoeff's scheme.

    >>> passes_verhoeff("2363"), passes_verhoeff("2364")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_PRODUCT[check][_VERHOEFF_PLACE[place % 8][int(digit)]]
    return check == 0


def passes_iso_7064(digits: str) -> bool:
    """Return whether the last digit is the check digit of ISO/IEC 7064, MOD 11,10.

    >>> passes_iso_7064("86095742719"), passes_iso_7064("86095742710")
    (True, False)
    """
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[-1])


def weighted_sum(digits: str, weights: Sequence[int]) -> int:
    """Return the sum of the digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def is_date(year: int, month: int, day: int) -> bool:
    """Return whether a day exists, in a year in which someone living may have been born.

    >>> is_date(2000, 2, 29), is_date(1999, 2, 29), is_date(1780, 1, 1)
    (True, False, False)
    """
    return 1880 <= year <= 2035 and 1 <= month <= 12 and 1 <= day <= _DAYS[month] - (month == 2 and year % 4 != 0)


def is_short_date(year: int, month: int, day: int) -> bool:
    """Return whether a day exists in a year of two digits, of either century."""
    return is_date(1900 + year, month, day) or is_date(2000 + year, month, day)
