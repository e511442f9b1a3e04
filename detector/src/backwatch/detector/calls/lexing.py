"""The lexical spec as Numba sees it: tables made from ``statements/spec.py``, and the next token of a buffer.

Every read is behind a check of its bound: the bytes are the attacker's. Nothing here knows a word or a symbol that the
spec does not; the property tests hold both readers of the spec to the same bytes.
"""

from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.statements import spec
from backwatch.detector.compiled import inline, kernel

Bytes = NDArray[np.uint8]

STRING, QUOTED, EXEC_OPEN, EXEC_CLOSE, COMMENT, CURLY, WORD = (
    spec.STRING, spec.QUOTED, spec.EXEC_OPEN, spec.EXEC_CLOSE, spec.COMMENT, spec.CURLY, spec.WORD,
)  # fmt: skip
NUMBER, PARAM, UNENDED, OP, END = spec.NUMBER, spec.PARAM, spec.UNENDED, spec.OP, spec.END

_FIELDS = [one.name for one in fields(spec.Dialect)]
FEATURES = np.array([astuple(one) for one in spec.DIALECTS.values()], np.uint8)
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
def _at(b: Bytes, i: int, e: int) -> int:
    """The byte at ``i``, 0 beyond the end."""
    return int(b[i]) if i < e else 0


@inline
def _wide(b: Bytes, i: int, e: int) -> int:
    """How many bytes the wide blank at ``i`` has: U+00A0 or U+3000; 0 where it is none."""
    if b[i] == 0xC2:
        return 2 if i + 1 < e and b[i + 1] == 0xA0 else 0
    if b[i] == 0xE3:
        return 3 if i + 2 < e and b[i + 1] == 0x80 and b[i + 2] == 0x80 else 0
    return 0


@inline
def skip_blanks(b: Bytes, i: int, e: int, d: int) -> int:
    """Where the blanks that begin at ``i`` end."""
    while i < e:
        if CLASSES[d, b[i]] & 1:
            i += 1
        elif b[i] >= 128 and FEATURES[d, WIDE_BLANK]:
            wide = _wide(b, i, e)
            if wide == 0:
                break
            i += wide
        else:
            break
    return i


@inline
def _word_end(b: Bytes, i: int, e: int, d: int, tag: int) -> int:
    """Where the word that goes on at ``i`` ends; in a ``tag`` there is no dollar sign."""
    while i < e and CLASSES[d, b[i]] & 4:
        if b[i] >= 128 and FEATURES[d, WIDE_BLANK] and _wide(b, i, e):
            break
        if tag and b[i] == 36:
            break
        i += 1
    return i


@inline
def _starts(b: Bytes, i: int, e: int, d: int) -> bool:
    """Whether a word may start at ``i``."""
    if i >= e or not CLASSES[d, b[i]] & 2:
        return False
    return b[i] < 128 or not FEATURES[d, WIDE_BLANK] or _wide(b, i, e) == 0


@inline
def _digits(b: Bytes, i: int, e: int) -> int:
    while i < e and 48 <= b[i] <= 57:
        i += 1
    return i


@inline
def _string_end(b: Bytes, i: int, e: int, quote: int, backslash: int) -> int:
    """After the quote that ends the text going on at ``i``; -1 where none does. A doubled quote goes on."""
    while i < e:
        c = b[i]
        if backslash and c == 92:
            i += 2
        elif c == quote:
            if i + 1 < e and b[i + 1] == quote:
                i += 2
            else:
                return i + 1
        else:
            i += 1
    return -1


@kernel
def _prefixed_end(b: Bytes, i: int, e: int, d: int) -> int:
    """End of a string with letters before its quote (``E'…'``, ``U&'…'``) at ``i``; -1 where there is none."""
    letter = b[i] | 32
    if _at(b, i + 1, e) == 39:
        if letter == 101 and FEATURES[d, DOLLAR_QUOTED]:
            return _string_end(b, i + 2, e, 39, 1)
        if letter == 110 or letter == 120 or letter == 98:
            return _string_end(b, i + 2, e, 39, FEATURES[d, BACKSLASH])
    elif letter == 117 and FEATURES[d, DOLLAR_QUOTED] and _at(b, i + 1, e) == 38 and _at(b, i + 2, e) == 39:
        return _string_end(b, i + 3, e, 39, 0)
    return -1


@kernel
def _alternative(b: Bytes, i: int, e: int) -> int:
    """Where the delimiter of ``q'[`` stands; 0 where there is none at ``i``."""
    if b[i] | 32 == 110:
        i += 1
    if _at(b, i, e) | 32 == 113 and _at(b, i + 1, e) == 39 and 33 <= _at(b, i + 2, e) <= 126:
        return i + 2
    return 0


@kernel
def _alternative_end(b: Bytes, at: int, e: int) -> int:
    """After the end of the ``q'`` string whose delimiter stands at ``at``; -1 where it never ends."""
    c = b[at]
    close = 93 if c == 91 else 41 if c == 40 else 125 if c == 123 else 62 if c == 60 else c
    for i in range(at + 1, e - 1):
        if b[i] == close and b[i + 1] == 39:
            return i + 2
    return -1


@kernel
def _dollar_end(b: Bytes, i: int, opened: int, e: int) -> int:
    """After the end of the string that ``b[i:opened]`` (``$tag$``) opens; -1 where it never ends."""
    size = opened - i
    for p in range(opened, e - size + 1):
        if b[p] == 36:
            k = 1
            while k < size and b[p + k] == b[i + k]:
                k += 1
            if k == size:
                return p + size
    return -1


@kernel
def _line_end(b: Bytes, i: int, e: int, d: int) -> int:
    while i < e and b[i] != 10 and not (b[i] == 13 and FEATURES[d, RETURN_ENDS]):
        i += 1
    return i


@kernel
def _block_end(b: Bytes, i: int, e: int, d: int) -> int:
    """After the end of the comment whose inside starts at ``i``."""
    depth = 1
    while i < e:
        if b[i] == 42 and i + 1 < e and b[i + 1] == 47:
            depth -= 1
            i += 2
            if depth == 0:
                return i
        elif FEATURES[d, NESTED] and b[i] == 47 and i + 1 < e and b[i + 1] == 42:
            depth += 1
            i += 2
        else:
            i += 1
    return e


@kernel
def _curly_end(b: Bytes, i: int, e: int) -> int:
    """After the end of a text in typographic or full-width quotes at ``i``; -1 where there is none."""
    if i + 2 >= e:
        return -1
    wide = b[i] == 0xEF and b[i + 1] == 0xBC and (b[i + 2] == 0x87 or b[i + 2] == 0x82)
    if not wide and not (b[i] == 0xE2 and b[i + 1] == 0x80 and 0x98 <= b[i + 2] <= 0x9F):
        return -1
    for p in range(i + 3, e - 2):
        if b[p] == b[i] and b[p + 1] == b[i + 1]:
            if wide:
                if b[p + 2] == b[i + 2]:
                    return p + 3
            elif b[p + 2] >> 2 == b[i + 2] >> 2 and 0x98 <= b[p + 2] <= 0x9F:
                return p + 3
    return -1


@inline
def _number_end(b: Bytes, i: int, e: int) -> int:
    """After the number at ``i``, which starts with a digit or with a point and a digit."""
    if b[i] == 48 and i + 2 < e:
        mark, first = b[i + 1] | 32, int(b[i + 2])
        low = first | 32
        if mark == 120 and (48 <= first <= 57 or 97 <= low <= 102):
            i += 2
            while i < e and (48 <= b[i] <= 57 or 97 <= b[i] | 32 <= 102):
                i += 1
            return i
        top = 49 if mark == 98 else 55 if mark == 111 else 0
        if 48 <= first <= top:
            i += 2
            while i < e and 48 <= b[i] <= top:
                i += 1
            return i
    if b[i] == 46:
        i = _digits(b, i + 1, e)
    else:
        i = _digits(b, i, e)
        while i + 1 < e and b[i] == 95 and 48 <= b[i + 1] <= 57:
            i = _digits(b, i + 1, e)
        if i < e and b[i] == 46:
            i = _digits(b, i + 1, e)
    if i < e and b[i] | 32 == 101:
        p = i + 1
        if p < e and (b[p] == 43 or b[p] == 45):
            p += 1
        if p < e and 48 <= b[p] <= 57:
            i = _digits(b, p, e)
    return i


@kernel
def _param_end(b: Bytes, i: int, e: int, d: int) -> int:
    """After the parameter at ``i``; -1 where there is none."""
    c = b[i]
    if c == 63:
        return _digits(b, i + 1, e)
    if c == 37 and FEATURES[d, PERCENT_NAME]:
        if _at(b, i + 1, e) == 115:
            return i + 2 if _word_end(b, i + 2, e, d, 0) == i + 2 else -1
        p = i + 2
        while p < e and (b[p] < 128 and CLASSES[d, b[p]] & 4 and b[p] != 36 and b[p] != 35 and b[p] != 64):
            p += 1
        closed = _at(b, i + 1, e) == 40 and p > i + 2 and _at(b, p, e) == 41 and _at(b, p + 1, e) == 115
        return p + 2 if closed else -1
    if c == 36:
        return _dollar_param(b, i, e, d)
    if c == 58 and FEATURES[d, COLON_NAME]:
        if _starts(b, i + 1, e, d):
            return _word_end(b, i + 1, e, d, 0)
        end = _digits(b, i + 1, e)
        return end if end > i + 1 else -1
    if c == 64 and FEATURES[d, AT_NAME] and _starts(b, i + 1, e, d):
        return _word_end(b, i + 1, e, d, 0)
    return -1


@kernel
def _dollar_param(b: Bytes, i: int, e: int, d: int) -> int:
    if FEATURES[d, DOLLAR_NAME]:
        end = _word_end(b, i + 1, e, d, 0)
        return end if end > i + 1 else -1
    if FEATURES[d, DOLLAR_NUMBER]:
        end = _digits(b, i + 1, e)
        if end > i + 1:
            return _digits(b, end + 1, e) if _at(b, end, e) == 46 else end
    return -1


@kernel
def _quoted_end(b: Bytes, i: int, e: int, d: int) -> int:
    """After the quoted name at ``i``; -1 where it never ends, 0 where none starts there."""
    c = b[i]
    if c == 34 or (c == 96 and FEATURES[d, BACKTICK]):
        return _string_end(b, i + 1, e, c, 0)
    if c == 91 and FEATURES[d, BRACKET]:
        if FEATURES[d, BRACKET_DOUBLED]:
            return _string_end(b, i + 1, e, 93, 0)
        for p in range(i + 1, e):
            if b[p] == 93:
                return p + 1
        return -1
    return 0


@inline
def _wordlike(b: Bytes, i: int, e: int, d: int) -> tuple[int, int]:
    """Kind and end of what starts with a letter or a byte above 127 at ``i``."""
    if b[i] >= 128:
        end = _curly_end(b, i, e)
        if end > 0:
            return CURLY, end
    else:
        following = _at(b, i + 1, e)
        if following == 39 or following == 38:
            end = _prefixed_end(b, i, e, d)
            if end > 0:
                return STRING, end
        if FEATURES[d, ALTERNATIVE_QUOTED]:
            at = _alternative(b, i, e)
            if at > 0:
                end = _alternative_end(b, at, e)
                return (STRING, end) if end > 0 else (UNENDED, e)
    return WORD, _word_end(b, i + 1, e, d, 0)


@kernel
def _commentlike(b: Bytes, i: int, e: int, d: int) -> tuple[int, int]:
    """Kind and end of what starts at ``i`` with one of ``/ * - #``; kind 0 where it is just that."""
    c, following = b[i], _at(b, i + 1, e)
    if c == 47 and following == 42:
        if FEATURES[d, EXECUTABLE]:
            at = i + 3 if _at(b, i + 2, e) == 77 else i + 2
            if _at(b, at, e) == 33:
                end = _digits(b, at + 1, e)
                return EXEC_OPEN, (min(end, at + 7) if end - at > 5 else at + 1)
        return COMMENT, _block_end(b, i + 2, e, d)
    if c == 42 and following == 47 and FEATURES[d, EXECUTABLE]:
        return EXEC_CLOSE, i + 2
    if c == 45 and following == 45:
        if not FEATURES[d, DASH_BLANK] or i + 2 >= e or CLASSES[d, b[i + 2]] & 1:
            return COMMENT, _line_end(b, i + 2, e, d)
    elif c == 35:
        if FEATURES[d, HASH_COMMENT]:
            return COMMENT, _line_end(b, i + 1, e, d)
        at = i + 2 if following == 35 else i + 1
        if FEATURES[d, HASH_WORD] and _starts(b, at, e, d):
            return WORD, _word_end(b, at, e, d, 0)
    return 0, i


@inline
def token(b: Bytes, i: int, e: int, d: int) -> tuple[int, int]:
    """Kind and end of the token that starts at ``i``, which is below ``e`` and no blank."""
    c = b[i]
    if CLASSES[d, c] & 2:
        return _wordlike(b, i, e, d)
    if c == 39:
        end = _string_end(b, i + 1, e, 39, FEATURES[d, BACKSLASH])
        return (STRING, end) if end > 0 else (UNENDED, e)
    if c == 34 and FEATURES[d, DOUBLE_STRING]:
        end = _string_end(b, i + 1, e, 34, FEATURES[d, BACKSLASH])
        return (STRING, end) if end > 0 else (UNENDED, e)
    if 48 <= c <= 57 or (c == 46 and 48 <= _at(b, i + 1, e) <= 57):
        return NUMBER, _number_end(b, i, e)
    if c == 34 or c == 96 or c == 91:
        end = _quoted_end(b, i, e, d)
        if end != 0:
            return (QUOTED, end) if end > 0 else (UNENDED, e)
        return OP, i + 1
    if c == 47 or c == 42 or c == 45 or c == 35:
        kind, end = _commentlike(b, i, e, d)
        return (kind, end) if kind else (OP, i + 1)
    if c == 64 and FEATURES[d, AT_AT] and _at(b, i + 1, e) == 64 and _starts(b, i + 2, e, d):
        return WORD, _word_end(b, i + 2, e, d, 0)
    if c == 63 or c == 37 or c == 36 or c == 58 or c == 64:
        end = _param_end(b, i, e, d)
        if end > 0:
            return PARAM, end
        if c == 36 and FEATURES[d, DOLLAR_QUOTED]:
            opened = _word_end(b, i + 1, e, d, 1) if _starts(b, i + 1, e, d) else i + 1
            if _at(b, opened, e) == 36:
                end = _dollar_end(b, i, opened + 1, e)
                return (STRING, end) if end > 0 else (UNENDED, e)
        if c == 58 and _at(b, i + 1, e) == 58:
            return OP, i + 2
    return OP, i + 1


def dialect_rows() -> dict[str, Any]:
    """For tests: the table's columns by name, to hold their order against the spec."""
    return {name: FEATURES[:, at] for at, name in enumerate(_FIELDS)}
