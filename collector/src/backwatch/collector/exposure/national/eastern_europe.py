"""Russia and Ukraine; Austria and Hungary."""

from typing import Final

from backwatch.collector.exposure.checks import is_short_date, weighted_sum
from backwatch.collector.exposure.format import Format


def is_inn(digits: str) -> bool:
    """Return whether it is the Russian INN of a person, with its two check digits.

    >>> is_inn("500100732259"), is_inn("500100732258")
    (True, False)
    """
    first = weighted_sum(digits[:10], (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted_sum(digits[:11], (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return (first, second) == (int(digits[10]), int(digits[11])) and digits[:2] != "00"


def is_snils(digits: str) -> bool:
    """Return whether it is a Russian SNILS.

    >>> is_snils("11223344595"), is_snils("11223344596")
    (True, False)
    """
    return weighted_sum(digits[:9], range(9, 0, -1)) % 101 % 100 == int(digits[9:])


def is_rntrc(digits: str) -> bool:
    """Return whether it is a Ukrainian taxpayer's number.

    >>> is_rntrc("1759013776"), is_rntrc("1759013777")
    (True, False)
    """
    return weighted_sum(digits[:9], (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(digits[9])


def is_austrian(digits: str) -> bool:
    """Return whether it is an Austrian number of social security: a check digit in the middle, and a date of birth.

    >>> is_austrian("1237010180"), is_austrian("1238010180")
    (True, False)
    """
    month = int(digits[6:8])
    is_born = is_short_date(int(digits[8:]), month, int(digits[4:6])) or month in (13, 14, 15)
    total = weighted_sum(digits[:3] + digits[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6))
    return digits[0] != "0" and is_born and total % 11 == int(digits[3])


def is_hungarian(digits: str) -> bool:
    """Return whether it is a Hungarian personal number.

    >>> is_hungarian("18003041245"), is_hungarian("18003041246")
    (True, False)
    """
    if digits[0] not in "12345678" or not is_short_date(int(digits[1:3]), int(digits[3:5]), int(digits[5:7])):
        return False
    weights = range(1, 11) if digits[0] in "1256" else range(10, 0, -1)
    return weighted_sum(digits[:10], tuple(weights)) % 11 == int(digits[10])


FORMATS: Final = (
    Format("national-id", "ru-inn", {"9" * 12: 1 / 100}, is_inn),
    Format("national-id", "ru-snils", {"999-999-999 99": 1e-3, "999-999-999-99": 1e-3, "9" * 11: 1 / 100}, is_snils),
    Format("national-id", "ua-rntrc", {"9" * 10: 1 / 10}, is_rntrc),
    Format("national-id", "at-svnr", {"9999 999999": 1 / 30, "9" * 10: 1 / 11}, is_austrian),
    Format("national-id", "hu-personal-number", {"9 999999 9999": 1 / 30, "9-999999-9999": 1 / 30}, is_hungarian),
)
