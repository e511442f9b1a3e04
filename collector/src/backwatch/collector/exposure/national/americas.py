"""Brazil, Mexico, Chile, Argentina, Canada. The number of the United States has no check: its column's name counts."""

from typing import Final

from backwatch.collector.exposure.checks import is_short_date, passes_luhn, weighted_sum
from backwatch.collector.exposure.format import Format

_CURP: Final = "0123456789ABCDEFGHIJKLMN?OPQRSTUVWXYZ"


def _check_of(digits: str, weights: tuple[int, ...]) -> int:
    rest = weighted_sum(digits, weights) % 11
    return 0 if rest < 2 else 11 - rest


def is_cpf(digits: str) -> bool:
    """Return whether it is a Brazilian CPF.

    >>> is_cpf("52998224725"), is_cpf("52998224724"), is_cpf("11111111111")
    (True, False, False)
    """
    first = _check_of(digits[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2))
    second = _check_of(digits[:10], (11, 10, 9, 8, 7, 6, 5, 4, 3, 2))
    return (first, second) == (int(digits[9]), int(digits[10])) and len(set(digits)) > 1


def is_cnpj(digits: str) -> bool:
    """Return whether it is a Brazilian CNPJ, which sole traders have, too.

    >>> is_cnpj("11222333000181"), is_cnpj("11222333000182")
    (True, False)
    """
    first = _check_of(digits[:12], (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
    second = _check_of(digits[:13], (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
    return (first, second) == (int(digits[12]), int(digits[13])) and len(set(digits)) > 1


def is_curp(text: str) -> bool:
    """Return whether it is a Mexican CURP.

    >>> is_curp("HEGG560427MVZRRL04"), is_curp("HEGG560427MVZRRL05")
    (True, False)
    """
    if text[10] not in "HMX" or not is_short_date(int(text[4:6]), int(text[6:8]), int(text[8:10])):
        return False
    total = sum(_CURP.index(letter) * (18 - at) for at, letter in enumerate(text[:17]))
    return -total % 10 == int(text[17])


def is_rut(text: str) -> bool:
    """Return whether it is a Chilean RUT.

    >>> is_rut("123456785"), is_rut("11111112K"), is_rut("123456786")
    (True, True, False)
    """
    if not text[:-1].isdigit():
        return False
    check = -weighted_sum(text[-2::-1], (2, 3, 4, 5, 6, 7) * 2) % 11
    return text[-1] == ("K" if check == 10 else str(check))


def is_cuit(digits: str) -> bool:
    """Return whether it is an Argentine CUIT or CUIL.

    >>> is_cuit("20123456786"), is_cuit("20123456785")
    (True, False)
    """
    check = -weighted_sum(digits[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return digits[:2] in ("20", "23", "24", "25", "26", "27", "30", "33", "34") and check == int(digits[10])


def is_sin(digits: str) -> bool:
    """Return whether it is a Canadian social insurance number.

    >>> is_sin("130692544"), is_sin("130692545")
    (True, False)
    """
    return digits[0] not in "08" and passes_luhn(digits)


FORMATS: Final = (
    Format("national-id", "br-cpf", {"999.999.999-99": 1e-3, "999999999-99": 1e-3, "9" * 11: 1 / 110}, is_cpf),
    Format("national-id", "br-cnpj", {"99.999.999/9999-99": 1 / 10_000, "9" * 14: 1 / 110}, is_cnpj),
    Format("national-id", "mx-curp", {"AAAA999999AAAAAA99": 1 / 1_000, "AAAA999999AAAAAAA9": 1 / 1_000}, is_curp),
    Format(
        "national-id", "cl-rut",
        {
            "99.999.999-9": 1 / 30, "9.999.999-9": 1 / 30, "99.999.999-A": 1 / 300, "9.999.999-A": 1 / 300,
            "99999999-9": 1 / 11, "99999999-A": 1 / 200, "9999999-9": 1 / 11, "9999999-A": 1 / 200,
        },
        is_rut,
    ),
    Format("national-id", "ar-cuit", {"99-99999999-9": 1 / 500, "9" * 11: 1 / 130}, is_cuit),
    Format("national-id", "ca-sin", {"999-999-999": 1 / 12}, is_sin),
)  # fmt: skip
