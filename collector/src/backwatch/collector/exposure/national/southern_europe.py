"""Spain, Italy, Portugal, Greece, Turkey."""

from typing import Final

from backwatch.collector.exposure.checks import is_short_date, passes_luhn, weighted_sum
from backwatch.collector.exposure.format import Format

_SPANISH: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_FIRST: Final = {"X": "0", "Y": "1", "Z": "2"}
_MONTHS: Final = "ABCDEHLMPRST"
_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_DIGIT_OF: Final = dict(zip("LMNPQRSTUV", "0123456789", strict=True))
"""Letters for digits in a code that would otherwise be another person's."""
_NUMBERS: Final = frozenset((6, 7, 9, 10, 12, 13, 14))


def is_dni(text: str) -> bool:
    """Return whether it is a Spanish DNI or NIE.

    >>> is_dni("12345678Z"), is_dni("X1234567L"), is_dni("12345678A")
    (True, True, False)
    """
    number = _FIRST.get(text[0], text[0]) + text[1:-1]
    return number.isdigit() and text[-1] == _SPANISH[int(number) % 23]


def is_codice_fiscale(text: str) -> bool:
    """Return whether it is an Italian codice fiscale.

    >>> is_codice_fiscale("RSSMRA85T10A562S"), is_codice_fiscale("RSSMRA85T10A562T")
    (True, False)
    """
    plain = "".join(_DIGIT_OF.get(letter, letter) if at in _NUMBERS else letter for at, letter in enumerate(text))
    if plain[8] not in _MONTHS or not (plain[6:8] + plain[9:11] + plain[12:15]).isdigit():
        return False
    day = int(plain[9:11])
    if not (1 <= day <= 31 or 41 <= day <= 71):
        return False
    total = sum(
        int(letter, 36) - (10 if letter.isalpha() else 0) if at & 1 else _ODD[letter]
        for at, letter in enumerate(text[:15])
    )
    return text[15] == chr(ord("A") + total % 26)


def is_nif(digits: str) -> bool:
    """Return whether it is a Portuguese NIF.

    >>> is_nif("123456789"), is_nif("123456780")
    (True, False)
    """
    if digits[0] not in "123":
        return False
    check = 11 - weighted_sum(digits[:8], range(9, 1, -1)) % 11
    return int(digits[8]) == (0 if check >= 10 else check)


def is_amka(digits: str) -> bool:
    """Return whether it is a Greek AMKA: a date of birth and a check digit."""
    return is_short_date(int(digits[4:6]), int(digits[2:4]), int(digits[:2])) and passes_luhn(digits)


def is_tc_kimlik(digits: str) -> bool:
    """Return whether it is a Turkish number, with its two check digits.

    >>> is_tc_kimlik("10000000146"), is_tc_kimlik("10000000147")
    (True, False)
    """
    numbers = [int(digit) for digit in digits]
    tenth = (7 * sum(numbers[:9:2]) - sum(numbers[1:8:2])) % 10
    return numbers[0] != 0 and numbers[9] == tenth and numbers[10] == sum(numbers[:10]) % 10


FORMATS: Final = (
    Format("national-id", "es-dni", dict.fromkeys(("99999999A", "99999999-A", "99.999.999-A"), 1 / 23), is_dni),
    Format("national-id", "es-nie", dict.fromkeys(("A9999999A", "A-9999999-A", "A9999999-A"), 1 / 150), is_dni),
    Format(
        "national-id", "it-codice-fiscale", dict.fromkeys(("AAAAAA99A99A999A", "AAA AAA 99A99 A999A"), 1 / 1_000),
        is_codice_fiscale,
    ),
    Format("national-id", "pt-nif", dict.fromkeys(("999999999", "999 999 999"), 1 / 11), is_nif),
    Format("national-id", "gr-amka", {"9" * 11: 1 / 10}, is_amka),
    Format("national-id", "tr-kimlik", {"9" * 11: 1 / 110}, is_tc_kimlik),
)  # fmt: skip
