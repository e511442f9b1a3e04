"""Kinds by the name of a column or field, split into its words. Each name is read once, as long as it is remembered."""

import re
import unicodedata
from typing import Final

from backwatch.collector import names
from backwatch.collector.exposure.column_words import ABOUT_FIRST, ABOUT_LAST, HINTS, NAMES, WHOLE_NAMES
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

MAX_NAME: Final = 100
"""Characters of a name that are read."""
MAX_REMEMBERED: Final = 4_096
_MAX_JOINED: Final = 5
_NUMBERED: Final = frozenset(("9", "10"))
"""Numbers that belong to a name: of the editions of ICD."""
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_PLAIN: Final = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "đ": "d", "\u0131": "i"})
_BIT: Final = {kind: 1 << at for at, kind in enumerate(names.DATA_KINDS)}
_AS_PART: Final = {word: _BIT[kind] for kind, words in NAMES.items() for word in words.split()}
_AS_WHOLE: Final = {word: _BIT[kind] for kind, words in WHOLE_NAMES.items() for word in words.split()}
_HINTS: Final = {word: _BIT[kind] for kind, words in HINTS.items() for word in words.split()}
_known: dict[int | bytes, int] = {}
"""By a hash keyed by the process's secret: a field of a document may have anything for its name."""


def kinds_of_name(name: str) -> int:
    """Return the kinds that a column of this name holds, as bits in the order of ``names.DATA_KINDS``.

    >>> [kinds_of_name(name) for name in ("email", "userEMail", "cc_number", "email_template_id", "price")]
    [1, 1, 4, 0, 0]
    """
    key = keyed_hash(name)
    known = _known.get(key)
    return known if known is not None else remember(_known, key, _read(name[:MAX_NAME]), MAX_REMEMBERED)


def hints_of_name(name: str) -> int:
    """Return the kinds of which a single value is evidence in a column of this name, as bits.

    >>> hints_of_name("customer_card"), hints_of_name("TaxNo"), hints_of_name("c1")
    (4, 64, 0)
    """
    found = 0
    for word in _split(name[:MAX_NAME]):
        found |= _HINTS.get(word, 0)
    return found


def kind_words(bits: int) -> str:
    """Return kinds as they are reported: words joined by commas.

    >>> kind_words(5)
    'email,card'
    """
    return ",".join(kind for at, kind in enumerate(names.DATA_KINDS) if bits >> at & 1)


def _split(name: str) -> list[str]:
    """Return the words of a name, without accents."""
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name.translate(_PLAIN))
        name = "".join(letter for letter in name if not unicodedata.combining(letter))
        name = unicodedata.normalize("NFC", name)
    return [word.lower() for word in _WORDS.findall(name)]


def _read(name: str) -> int:
    words = _split(name)
    if len(words) > 1 and words[-1].isdigit() and words[-1] not in _NUMBERED:  # phone2
        words.pop()
    whole = "".join(words)
    found = _AS_WHOLE.get(whole, 0) | _AS_PART.get(whole, 0)
    if found or not words or words[-1] in ABOUT_LAST or words[0] in ABOUT_FIRST:
        return found
    for start in range(len(words)):
        for end in range(start + 1, min(start + _MAX_JOINED, len(words)) + 1):
            found |= _AS_PART.get("".join(words[start:end]), 0)
    return found
