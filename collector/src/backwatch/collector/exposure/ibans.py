"""International bank account numbers (ISO 13616): the country's length and form, and the check by 97."""

import re
from typing import Final

from backwatch.collector.exposure.format import shape_of

_ACCOUNTS: Final = """
    AD:4n4n12c AE:3n16n AL:8n16c AT:16n AZ:4a20c BA:16n BE:12n BG:4a6n8c BH:4a14c BI:23n BR:23n1a1c BY:4c4n16c
    CH:5n12c CR:18n CY:8n16c CZ:20n DE:18n DJ:23n DK:14n DO:4c20n EE:16n EG:25n ES:20n FI:14n FK:2a12n FO:14n
    FR:10n11c2n GB:4a14n GE:2a16n GI:4a15c GL:14n GR:7n16c GT:4c20c HN:4a20n HR:17n HU:24n IE:4a14n IL:19n IQ:4a15n
    IS:22n IT:1a10n12c JO:4a4n18c KW:4a22c KZ:3n13c LB:4n20c LC:4a24c LI:5n12c LT:16n LU:3n13c LV:4a13c LY:21n
    MC:10n11c2n MD:2c18c ME:18n MK:3n10c2n MN:16n MR:23n MT:4a5n18c MU:4a19n3a NI:4a20n NL:4a10n NO:11n OM:3n16c
    PK:4a16c PL:24n PS:4a21c PT:21n QA:4a21c RO:4a16c RS:18n RU:14n15c SA:2n18c SC:4a20n3a SD:14n SE:20n SI:15n
    SK:20n SM:1a10n12c SO:19n ST:21n SV:4a20n TL:19n TN:20n TR:5n1n16c UA:6n19c VA:18n VG:4a16n XK:16n YE:4a4n18c
    """
"""By country, the parts after the check digits: digits, letters, or either, each with its length."""
_PLACE: Final = {"n": "9", "a": "A", "c": "*"}


def _read_shape(parts: str) -> str:
    """Return a character for each place: ``9``, ``A``, or ``*`` for either."""
    return "".join(_PLACE[kind] * int(size) for size, kind in re.findall(r"(\d+)([nac])", parts))


_SHAPES: Final = {word[:2]: _read_shape(word[3:]) for word in _ACCOUNTS.split()}
MIN_LENGTH: Final = 4 + min(map(len, _SHAPES.values()))
MAX_LENGTH: Final = 4 + max(map(len, _SHAPES.values()))
MAX_WRITTEN: Final = MAX_LENGTH + MAX_LENGTH // 4
"""Characters of one in groups of four."""
_ORDER: Final = {chr(code): str(code - 55) for code in range(ord("A"), ord("Z") + 1)}


def is_iban(text: str) -> bool:
    """Return whether a text is an account number, as one word or in groups of four.

    >>> is_iban("DE89 3704 0044 0532 0130 00"), is_iban("DE88370400440532013000")
    (True, False)
    """
    if not MIN_LENGTH <= len(text) <= MAX_WRITTEN or not text.isascii():
        return False
    if " " in text or "-" in text:
        groups = text.replace("-", " ").split(" ")
        if any(len(group) != 4 for group in groups[:-1]) or not 1 <= len(groups[-1]) <= 4:
            return False
        text = "".join(groups)
    text = text.upper()
    shape = _SHAPES.get(text[:2])
    if shape is None or len(text) != len(shape) + 4 or not text[2:4].isdigit():
        return False
    for found, wanted in zip(shape_of(text[4:]), shape, strict=True):
        if found != wanted and (wanted != "*" or found not in "9A"):
            return False
    number = "".join(_ORDER.get(character, character) for character in text[4:] + text[:4])
    return int(number) % 97 == 1
