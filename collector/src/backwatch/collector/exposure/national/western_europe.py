"""France, Belgium, the Netherlands, Germany, Switzerland, the United Kingdom, Ireland."""

from typing import Final

from backwatch.collector.exposure.checks import is_short_date, passes_iso_7064, weighted_sum
from backwatch.collector.exposure.format import Format

_IRISH: Final = "WABCDEFGHIJKLMNOPQRSTUV"
_FRENCH_MONTHS: Final = frozenset((*range(1, 13), *range(20, 43), *range(50, 100)))
"""Months, and what stands for an unknown one."""
_NO_BRITISH_PREFIX: Final = frozenset(("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"))


def is_nir(text: str) -> bool:
    """Return whether it is a French number of social security.

    >>> is_nir("255081416802538"), is_nir("255081416802539")
    (True, False)
    """
    number = text[:13].replace("2A", "19").replace("2B", "18")
    if not (number + text[13:]).isdigit() or number[0] not in "123478" or int(number[3:5]) not in _FRENCH_MONTHS:
        return False
    return 97 - int(number) % 97 == int(text[13:])


def is_belgian(digits: str) -> bool:
    """Return whether it is a Belgian national number.

    >>> is_belgian("85073003328"), is_belgian("85073003329")
    (True, False)
    """
    month = int(digits[2:4]) % 20  # 20 or 40 more in numbers of residents without a nationality
    if not (is_short_date(int(digits[:2]), month, int(digits[4:6])) or digits[2:6] == "0000"):
        return False
    check = int(digits[9:])
    return check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def is_bsn(digits: str) -> bool:
    """Return whether it is a Dutch BSN.

    >>> is_bsn("111222333"), is_bsn("111222334")
    (True, False)
    """
    return weighted_sum(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and len(set(digits)) > 1


def is_steuer_id(digits: str) -> bool:
    """Return whether it is a German tax number: one of its first ten digits comes twice or three times.

    >>> is_steuer_id("86095742719"), is_steuer_id("12345678901")
    (True, False)
    """
    most = max(digits[:10].count(digit) for digit in "0123456789")
    return digits[0] != "0" and 10 - len(set(digits[:10])) == most - 1 in (1, 2) and passes_iso_7064(digits)


def is_ahv(digits: str) -> bool:
    """Return whether it is a Swiss number of the AHV.

    >>> is_ahv("7569217076985"), is_ahv("7569217076984")
    (True, False)
    """
    return digits[:3] == "756" and weighted_sum(digits, (1, 3) * 7) % 10 == 0


def is_british(text: str) -> bool:
    """Return whether it is a British national insurance number, which has no check digit.

    >>> is_british("AB123456C"), is_british("QQ123456C")
    (True, False)
    """
    return (
        text[0] not in "DFIQUV" and text[1] not in "DFIOQUV" and text[:2] not in _NO_BRITISH_PREFIX
        and text[-1] in "ABCD"
    )  # fmt: skip


def is_pps(text: str) -> bool:
    """Return whether it is an Irish PPS number.

    >>> is_pps("1234567T"), is_pps("1234567A")
    (True, False)
    """
    second = _IRISH.find(text[8]) if len(text) == 9 else 0
    return second >= 0 and text[7] == _IRISH[(weighted_sum(text[:7], range(8, 1, -1)) + 9 * second) % 23]


FORMATS: Final = (
    Format(
        "national-id", "fr-nir",
        {
            "9" * 15: 1 / 190, "9 99 99 99 999 999 99": 1 / 10_000, "9 99 99 9A 999 999 99": 1 / 10_000,
            "999999A99999999": 1 / 10_000,
        },
        is_nir,
    ),
    Format("national-id", "be-nrn", {"9" * 11: 1 / 97, "99.99.99-999.99": 1 / 10_000}, is_belgian),
    Format("national-id", "nl-bsn", dict.fromkeys(("9" * 9, "9999.99.999"), 1 / 11), is_bsn),
    Format("national-id", "de-steuer-id", dict.fromkeys(("9" * 11, "99 999 999 999"), 1 / 50), is_steuer_id),
    Format("national-id", "ch-ahv", {"9" * 13: 1 / 10, "999.9999.9999.99": 1 / 10_000}, is_ahv),
    Format("national-id", "gb-nino", {"AA999999A": 1 / 15, "AA 99 99 99 A": 1 / 1_000}, is_british),
    Format("national-id", "ie-pps", dict.fromkeys(("9999999A", "9999999AA"), 1 / 23), is_pps),
)  # fmt: skip
