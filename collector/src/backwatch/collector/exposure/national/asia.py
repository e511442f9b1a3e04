"""China, India, Korea, Japan, Thailand, Singapore, Hong Kong, Taiwan; South Africa and Australia."""

from typing import Final

from backwatch.collector.exposure.checks import is_date, is_short_date, passes_luhn, passes_verhoeff, weighted_sum
from backwatch.collector.exposure.format import Format

_SINGAPORE: Final = {"S": "JZIHGFEDCBA", "T": "GFEDCBAJZIH", "F": "XWUTRQPNMLK", "G": "RQPNMLKXWUT"}
_TAIWAN: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_CHINESE_REGIONS: Final = frozenset((*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55),
                                     *range(61, 66), 71, 81, 82, 83))  # fmt: skip


def is_chinese(text: str) -> bool:
    """Return whether it is a Chinese resident's number.

    >>> is_chinese("11010519491231002X"), is_chinese("110105194912310021")
    (True, False)
    """
    if not text[:17].isdigit() or int(text[:2]) not in _CHINESE_REGIONS:
        return False
    if not is_date(int(text[6:10]), int(text[10:12]), int(text[12:14])):
        return False
    total = weighted_sum(text[:17], (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    return text[17] == "10X98765432"[total % 11]


def is_aadhaar(digits: str) -> bool:
    """Return whether it is an Indian Aadhaar.

    >>> is_aadhaar("234123412346"), is_aadhaar("234123412347")
    (True, False)
    """
    return digits[0] not in "01" and passes_verhoeff(digits)


def is_korean(digits: str) -> bool:
    """Return whether it is a Korean resident's number.

    >>> is_korean("8803151234568"), is_korean("8803151234567")
    (True, False)
    """
    if not is_short_date(int(digits[:2]), int(digits[2:4]), int(digits[4:6])):
        return False
    return (11 - weighted_sum(digits[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(digits[12])


def is_my_number(digits: str) -> bool:
    """Return whether it is a Japanese My Number.

    >>> is_my_number("123456789018"), is_my_number("123456789019")
    (True, False)
    """
    rest = weighted_sum(digits[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def is_thai(digits: str) -> bool:
    """Return whether it is a Thai citizen's number.

    >>> is_thai("1101700230708"), is_thai("1101700230709")
    (True, False)
    """
    return digits[0] in "12345678" and (11 - weighted_sum(digits[:12], range(13, 1, -1)) % 11) % 10 == int(digits[12])


def is_nric(text: str) -> bool:
    """Return whether it is a Singaporean NRIC or FIN.

    >>> is_nric("S1234567D"), is_nric("S1234567A")
    (True, False)
    """
    letters = _SINGAPORE.get(text[0])
    return letters is not None and text[8] == letters[weighted_sum(text[1:8], (2, 7, 6, 5, 4, 3, 2)) % 11]


def is_hong_kong(text: str) -> bool:
    """Return whether it is a number of Hong Kong, without the brackets around its check digit.

    >>> is_hong_kong("A1234563"), is_hong_kong("A1234564")
    (True, False)
    """
    total = 324 + (ord(text[0]) - 55) * 8 + weighted_sum(text[1:7], (7, 6, 5, 4, 3, 2))
    return text[7] == "0A987654321"[total % 11]


def is_taiwanese(text: str) -> bool:
    """Return whether it is a Taiwanese number.

    >>> is_taiwanese("A123456789"), is_taiwanese("A123456788")
    (True, False)
    """
    region = 10 + _TAIWAN.index(text[0])
    total = region // 10 + region % 10 * 9 + weighted_sum(text[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))
    return text[1] in "1289" and total % 10 == 0


def is_south_african(digits: str) -> bool:
    """Return whether it is a South African identity number.

    >>> is_south_african("8001015009087"), is_south_african("8001015009088")
    (True, False)
    """
    return (
        digits[10] in "012" and is_short_date(int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
        and passes_luhn(digits)
    )  # fmt: skip


def is_tfn(digits: str) -> bool:
    """Return whether it is an Australian tax file number.

    >>> is_tfn("123456782"), is_tfn("123456783")
    (True, False)
    """
    return weighted_sum(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


FORMATS: Final = (
    Format("national-id", "cn-resident", {"9" * 18: 1 / 10_000, "9" * 17 + "A": 1 / 10_000}, is_chinese),
    Format(
        "national-id", "in-aadhaar", {"9999 9999 9999": 1 / 13, "9999-9999-9999": 1 / 13, "9" * 12: 1 / 13}, is_aadhaar
    ),
    Format("national-id", "kr-resident", {"999999-9999999": 1 / 100, "9" * 13: 1 / 11}, is_korean),
    Format("national-id", "jp-my-number", {"9999 9999 9999": 1 / 10, "9" * 12: 1 / 10}, is_my_number),
    Format("national-id", "th-citizen", {"9-9999-99999-99-9": 1 / 1_000, "9" * 13: 1 / 11}, is_thai),
    Format("national-id", "sg-nric", {"A9999999A": 1 / 150}, is_nric),
    Format("national-id", "hk-id", {"A999999(9)": 1 / 1_000, "A999999(A)": 1 / 1_000}, is_hong_kong),
    Format("national-id", "tw-id", {"A999999999": 1 / 25}, is_taiwanese),
    Format("national-id", "za-id", {"9" * 13: 1 / 30}, is_south_african),
    Format("national-id", "au-tfn", {"999 999 999": 1 / 11, "9" * 9: 1 / 11}, is_tfn),
)
