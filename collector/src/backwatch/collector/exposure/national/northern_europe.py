"""Sweden, Norway, Denmark, Finland, Iceland, Estonia and Lithuania, Latvia."""

from typing import Final

from backwatch.collector.exposure.checks import is_date, is_short_date, passes_luhn, weighted_sum
from backwatch.collector.exposure.format import Format

_FINNISH: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_BALTIC: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3))


def is_personnummer(digits: str) -> bool:
    """Return whether it is a Swedish personnummer or samordningsnummer.

    >>> is_personnummer("8112189876"), is_personnummer("198112189876"), is_personnummer("8112189875")
    (True, True, False)
    """
    if len(digits) == 12 and digits[:2] not in ("18", "19", "20"):
        return False
    short = digits[-10:]
    day = int(short[4:6])
    return is_short_date(int(short[:2]), int(short[2:4]), day - 60 if day > 60 else day) and passes_luhn(short)


def is_fodselsnummer(digits: str) -> bool:
    """Return whether it is a Norwegian number, with its two check digits.

    >>> is_fodselsnummer("01010050053"), is_fodselsnummer("01010050054")
    (True, False)
    """
    day, month = int(digits[:2]), int(digits[2:4])
    if not is_short_date(int(digits[4:6]), month % 40, day - 40 if day > 40 else day):
        return False
    first = -weighted_sum(digits[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -weighted_sum(digits[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (first, second) == (int(digits[9]), int(digits[10]))


def is_hetu(text: str) -> bool:
    """Return whether it is a Finnish henkilötunnus, without its sign of the century.

    >>> is_hetu("131052308T"), is_hetu("131052A308T"), is_hetu("131052308U")
    (True, True, False)
    """
    number = text[:6] + text[-4:-1]
    if not number.isdigit() or (len(text) == 11 and text[6] not in "ABCDEFYXWVU+"):
        return False
    day, month, year = int(text[:2]), int(text[2:4]), int(text[4:6])
    return is_short_date(year, month, day) and text[-1] == _FINNISH[int(number) % 31]


def is_kennitala(digits: str) -> bool:
    """Return whether it is an Icelandic kennitala.

    >>> is_kennitala("1201743399"), is_kennitala("1201743389")
    (True, False)
    """
    day = int(digits[:2]) % 40
    if digits[9] not in "890" or not is_short_date(int(digits[4:6]), int(digits[2:4]), day):
        return False
    return -weighted_sum(digits[:8], (3, 2, 7, 6, 5, 4, 3, 2)) % 11 == int(digits[8])


def is_isikukood(digits: str) -> bool:
    """Return whether it is an Estonian or Lithuanian personal code.

    >>> is_isikukood("37605030299"), is_isikukood("37605030298")
    (True, False)
    """
    if digits[0] not in "123456":
        return False
    year = 1800 + (int(digits[0]) - 1) // 2 * 100 + int(digits[1:3])
    checks = [weighted_sum(digits[:10], weights) % 11 for weights in _BALTIC]
    check = next((found for found in checks if found < 10), 0)
    return is_date(year, int(digits[3:5]), int(digits[5:7])) and check == int(digits[10])


def is_latvian(digits: str) -> bool:
    """Return whether it is a Latvian personal code of before 2017.

    >>> is_latvian("16117519997"), is_latvian("16117519996")
    (True, False)
    """
    if digits[6] not in "012" or not is_short_date(int(digits[4:6]), int(digits[2:4]), int(digits[:2])):
        return False
    return (1101 - weighted_sum(digits[:10], (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 == int(digits[10])


FORMATS: Final = (
    Format(
        "national-id", "se-personnummer",
        {"999999-9999": 1 / 30, "99999999-9999": 1 / 30, "9" * 12: 1 / 10, "9" * 10: 1 / 10}, is_personnummer,
    ),
    Format("national-id", "no-fodselsnummer", dict.fromkeys(("9" * 11, "999999 99999"), 1 / 120), is_fodselsnummer),
    Format(
        "national-id", "fi-hetu",
        {"999999-999A": 1e-3, "999999A999A": 1e-3, "999999A9999": 1e-3, "999999-9999": 1 / 30}, is_hetu,
    ),
    Format("national-id", "is-kennitala", dict.fromkeys(("999999-9999", "9" * 10), 1 / 30), is_kennitala),
    Format("national-id", "ee-isikukood", {"9" * 11: 1 / 20}, is_isikukood),
    Format("national-id", "lv-personal-code", {"999999-99999": 1 / 30}, is_latvian),
)  # fmt: skip
