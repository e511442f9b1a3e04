"""The lexical spec for Numba: tables made from ``statements/spec.py``, words and blanks of a buffer.

Every read is behind a check of its bound: the bytes are the attacker's. Nothing here knows a word or a symbol that the
spec does not; the property tests hold both readers of the spec to the same bytes.
"""

from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.statements import spec
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8

Bytes = NDArray[np.uint8]

_FIELDS = [field.name for field in fields(spec.Dialect)]
FEATURES = np.array([astuple(features) for features in spec.DIALECTS.values()], np.uint8)
"""One row per dialect, in the order of ``spec.NUMBER_OF``; columns as the fields of ``spec.Dialect``."""
(
    BACKSLASH, DOUBLE_STRING, BACKTICK, BRACKET, BRACKET_DOUBLED, HASH_COMMENT, HASH_WORD, DASH_BLANK, RETURN_ENDS,
    NESTED, EXECUTABLE, DOLLAR_QUOTED, ALTERNATIVE_QUOTED, DOLLAR_NUMBER, DOLLAR_NAME, COLON_NAME, AT_NAME, AT_AT,
    PERCENT_NAME, WIDE_BLANK,
) = range(len(_FIELDS))  # fmt: skip

_BLANK, _START, _MORE, _DIGIT = 1, 2, 4, 8


def _classes() -> Bytes:
    table = np.zeros((len(spec.DIALECTS), 256), np.uint8)
    for code in range(256):
        letter = chr(code)
        if code >= 128 or letter == "_" or (letter.isascii() and letter.isalpha()):
            table[:, code] |= _START | _MORE
        elif letter in "0123456789":
            table[:, code] |= _DIGIT | _MORE
        elif code <= 32 or code == 127:
            table[:, code] |= _BLANK
        elif letter == "$":
            table[:, code] |= _MORE
        elif letter in "#@":
            table[FEATURES[:, HASH_WORD] == 1, code] |= _MORE
    return table


CLASSES = _classes()


@inline
def byte_at(b: int, i: int, e: int) -> int:
    """The byte at ``i``, 0 beyond the end."""
    return load8(b + i) if i < e else 0


@kernel
def wide_blank(b: int, i: int, e: int) -> int:
    """Return the bytes of the wide blank at ``i`` (U+00A0 or U+3000); 0 if it is none."""
    if load8(b + i) == 0xC2:
        return 2 if i + 1 < e and load8(b + i + 1) == 0xA0 else 0
    if load8(b + i) == 0xE3:
        return 3 if i + 2 < e and load8(b + i + 1) == 0x80 and load8(b + i + 2) == 0x80 else 0
    return 0


@kernel
def skip_blanks(b: int, i: int, e: int, d: int) -> int:
    """Return the end of the blanks that begin at ``i``."""
    while i < e:
        if CLASSES[d, load8(b + i)] & 1:
            i += 1
        elif load8(b + i) >= 128 and FEATURES[d, WIDE_BLANK]:
            wide = wide_blank(b, i, e)
            if wide == 0:
                break
            i += wide
        else:
            break
    return i


@kernel
def word_end(b: int, i: int, e: int, d: int, tag: int) -> int:
    """Return the end of the word that goes on at ``i``; a ``tag`` contains no dollar sign."""
    while i < e and CLASSES[d, load8(b + i)] & 4:
        if load8(b + i) >= 128 and FEATURES[d, WIDE_BLANK] and wide_blank(b, i, e):
            break
        if tag and load8(b + i) == 36:
            break
        i += 1
    return i


@kernel
def starts_word(b: int, i: int, e: int, d: int) -> bool:
    """Return whether a word may start at ``i``."""
    if i >= e or not CLASSES[d, load8(b + i)] & 2:
        return False
    return load8(b + i) < 128 or not FEATURES[d, WIDE_BLANK] or wide_blank(b, i, e) == 0


@kernel
def digits_end(b: int, i: int, e: int) -> int:
    """Return the end of the digits that begin at ``i``."""
    while i < e and 48 <= load8(b + i) <= 57:
        i += 1
    return i


def dialect_rows() -> dict[str, Any]:
    """For tests: the table's columns by name, to hold their order against the spec."""
    return {name: FEATURES[:, at] for at, name in enumerate(_FIELDS)}
