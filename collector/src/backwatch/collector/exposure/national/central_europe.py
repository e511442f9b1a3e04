"""Poland, Czechia and Slovakia, Romania, Bulgaria, Croatia, Slovenia and Serbia."""

from typing import Final

from backwatch.collector.exposure.checks import is_date, is_short_date, passes_iso_7064, weighted_sum
from backwatch.collector.exposure.format import Format


def is_pesel(digits: str) -> bool:
    """Return whether it is a Polish PESEL.

    >>> is_pesel("44051401359"), is_pesel("44051401358")
    (True, False)
    """
    century = {0: 1900, 20: 2000, 40: 2100, 60: 2200, 80: 1800}[int(digits[2:4]) // 20 * 20]
    if not is_date(century + int(digits[:2]), int(digits[2:4]) % 20, int(digits[4:6])):
        return False
    return -weighted_sum(digits[:10], (1, 3, 7, 9) * 3) % 10 == int(digits[10])


def is_birth_number(digits: str) -> bool:
    """Return whether it is a Czech or Slovak birth number.

    >>> is_birth_number("7103192745"), is_birth_number("7103192746")
    (True, False)
    """
    month = int(digits[2:4]) % 50
    month -= 20 if month > 20 else 0
    return is_short_date(int(digits[:2]), month, int(digits[4:6])) and int(digits) % 11 == 0


def is_cnp(digits: str) -> bool:
    """Return whether it is a Romanian CNP.

    >>> is_cnp("1800101221144"), is_cnp("1800101221145")
    (True, False)
    """
    if digits[0] == "0" or not is_short_date(int(digits[1:3]), int(digits[3:5]), int(digits[5:7])):
        return False
    check = weighted_sum(digits[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return int(digits[7:9]) in (*range(1, 53), 70) and int(digits[12]) == (1 if check == 10 else check)


def is_egn(digits: str) -> bool:
    """Return whether it is a Bulgarian EGN.

    >>> is_egn("7503169269"), is_egn("7503169264")
    (True, False)
    """
    month = int(digits[2:4])
    century = 1800 if 20 < month <= 32 else 2000 if 40 < month <= 52 else 1900
    if not is_date(century + int(digits[:2]), month % 20, int(digits[4:6])):
        return False
    return weighted_sum(digits[:9], (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(digits[9])


def is_jmbg(digits: str) -> bool:
    """Return whether it is a JMBG of one of Yugoslavia's successors.

    >>> is_jmbg("0101006500006"), is_jmbg("0101006500007")
    (True, False)
    """
    year = int(digits[4:7])
    if not is_date((1000 if year > 800 else 2000) + year, int(digits[2:4]), int(digits[:2])):
        return False
    check = -weighted_sum(digits[:12], (7, 6, 5, 4, 3, 2) * 2) % 11
    return int(digits[12]) == (0 if check == 10 else check)


FORMATS: Final = (
    Format("national-id", "pl-pesel", {"9" * 11: 1 / 10}, is_pesel),
    Format("national-id", "cz-birth-number", {"999999/9999": 1 / 30, "9" * 10: 1 / 11}, is_birth_number),
    Format("national-id", "ro-cnp", {"9" * 13: 1 / 20}, is_cnp),
    Format("national-id", "bg-egn", {"9" * 10: 1 / 11}, is_egn),
    Format("national-id", "rs-jmbg", {"9" * 13: 1 / 20}, is_jmbg),
    Format("national-id", "hr-oib", {"9" * 11: 1 / 10}, passes_iso_7064),
)
