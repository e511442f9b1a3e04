"""Finds the ends of literals, parameters and quoted names: strings in their forms, numbers, ``:name``, ``"name"``."""

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8
from backwatch.detector.statements.letters import (
    AT_NAME,
    BACKSLASH,
    BACKTICK,
    BRACKET,
    BRACKET_DOUBLED,
    CLASSES,
    COLON_NAME,
    DOLLAR_NAME,
    DOLLAR_NUMBER,
    DOLLAR_QUOTED,
    FEATURES,
    PERCENT_NAME,
    byte_at,
    digits_end,
    starts_word,
    word_end,
)


@kernel
def string_end(b: int, i: int, e: int, quote: int, backslash: int) -> int:
    """After the quote that ends the text going on at ``i``; -1 where none does. A doubled quote goes on."""
    while i < e:
        c = load8(b + i)
        if backslash and c == 92:
            i += 2
        elif c == quote:
            if i + 1 < e and load8(b + i + 1) == quote:
                i += 2
            else:
                return i + 1
        else:
            i += 1
    return -1


@kernel
def prefixed_end(b: int, i: int, e: int, d: int) -> int:
    """Return the end of a string with letters before its quote (``E'…'``, ``U&'…'``) at ``i``; -1 if there is none."""
    letter = load8(b + i) | 32
    if byte_at(b, i + 1, e) == 39:
        if letter == 101 and FEATURES[d, DOLLAR_QUOTED]:
            return string_end(b, i + 2, e, 39, 1)
        if letter == 110 or letter == 120 or letter == 98:
            return string_end(b, i + 2, e, 39, FEATURES[d, BACKSLASH])
    elif letter == 117 and FEATURES[d, DOLLAR_QUOTED] and byte_at(b, i + 1, e) == 38 and byte_at(b, i + 2, e) == 39:
        return string_end(b, i + 3, e, 39, 0)
    return -1


@kernel
def alternative_delimiter(b: int, i: int, e: int) -> int:
    """Return the position of the delimiter of ``q'[``; 0 if there is none at ``i``."""
    if load8(b + i) | 32 == 110:
        i += 1
    if byte_at(b, i, e) | 32 == 113 and byte_at(b, i + 1, e) == 39 and 33 <= byte_at(b, i + 2, e) <= 126:
        return i + 2
    return 0


@kernel
def alternative_end(b: int, at: int, e: int) -> int:
    """Return the position after the ``q'`` string whose delimiter is at ``at``; -1 if it never ends."""
    c = load8(b + at)
    close = 93 if c == 91 else 41 if c == 40 else 125 if c == 123 else 62 if c == 60 else c
    for i in range(at + 1, e - 1):
        if load8(b + i) == close and load8(b + i + 1) == 39:
            return i + 2
    return -1


@kernel
def dollar_end(b: int, i: int, opened: int, e: int) -> int:
    """After the end of the string that ``b[i:opened]`` (``$tag$``) opens; -1 where it never ends."""
    size = opened - i
    for p in range(opened, e - size + 1):
        if load8(b + p) == 36:
            k = 1
            while k < size and load8(b + p + k) == load8(b + i + k):
                k += 1
            if k == size:
                return p + size
    return -1


@kernel
def curly_end(b: int, i: int, e: int) -> int:
    """Return the position after a text in typographic or full-width quotes at ``i``; -1 if there is none."""
    if i + 2 >= e:
        return -1
    wide = load8(b + i) == 0xEF and load8(b + i + 1) == 0xBC and (load8(b + i + 2) == 0x87 or load8(b + i + 2) == 0x82)
    if not wide and not (load8(b + i) == 0xE2 and load8(b + i + 1) == 0x80 and 0x98 <= load8(b + i + 2) <= 0x9F):
        return -1
    for p in range(i + 3, e - 2):
        if load8(b + p) == load8(b + i) and load8(b + p + 1) == load8(b + i + 1):
            if wide:
                if load8(b + p + 2) == load8(b + i + 2):
                    return p + 3
            elif load8(b + p + 2) >> 2 == load8(b + i + 2) >> 2 and 0x98 <= load8(b + p + 2) <= 0x9F:
                return p + 3
    return -1


@kernel
def number_end(b: int, i: int, e: int) -> int:
    """Return the position after the number at ``i``, which starts with a digit, or with a point and a digit."""
    if load8(b + i) == 48 and i + 2 < e:
        mark, first = load8(b + i + 1) | 32, load8(b + i + 2)
        low = first | 32
        if mark == 120 and (48 <= first <= 57 or 97 <= low <= 102):
            i += 2
            while i < e and (48 <= load8(b + i) <= 57 or 97 <= load8(b + i) | 32 <= 102):
                i += 1
            return i
        top = 49 if mark == 98 else 55 if mark == 111 else 0
        if 48 <= first <= top:
            i += 2
            while i < e and 48 <= load8(b + i) <= top:
                i += 1
            return i
    if load8(b + i) == 46:
        i = digits_end(b, i + 1, e)
    else:
        i = digits_end(b, i, e)
        while i + 1 < e and load8(b + i) == 95 and 48 <= load8(b + i + 1) <= 57:
            i = digits_end(b, i + 1, e)
        if i < e and load8(b + i) == 46:
            i = digits_end(b, i + 1, e)
    if i < e and load8(b + i) | 32 == 101:
        p = i + 1
        if p < e and (load8(b + p) == 43 or load8(b + p) == 45):
            p += 1
        if p < e and 48 <= load8(b + p) <= 57:
            i = digits_end(b, p, e)
    return i


@inline
def _plain(c: int) -> bool:
    return 48 <= c <= 57 or 97 <= c | 32 <= 122 or c == 95


@kernel
def param_end(b: int, i: int, e: int, d: int) -> int:
    """After the parameter at ``i``; -1 where there is none."""
    c = load8(b + i)
    if c == 63:
        return digits_end(b, i + 1, e)
    if c == 37 and FEATURES[d, PERCENT_NAME]:
        if byte_at(b, i + 1, e) == 115:
            return i + 2 if word_end(b, i + 2, e, d, 0) == i + 2 else -1
        p = i + 2
        while p < e and (
            load8(b + p) < 128
            and CLASSES[d, load8(b + p)] & 4
            and load8(b + p) != 36
            and load8(b + p) != 35
            and load8(b + p) != 64
        ):
            p += 1
        closed = byte_at(b, i + 1, e) == 40 and p > i + 2 and byte_at(b, p, e) == 41 and byte_at(b, p + 1, e) == 115
        return p + 2 if closed else -1
    if c == 36:
        return _dollar_param(b, i, e, d)
    if c == 58 and FEATURES[d, COLON_NAME]:
        if starts_word(b, i + 1, e, d):
            return word_end(b, i + 1, e, d, 0)
        end = digits_end(b, i + 1, e)
        return end if end > i + 1 else -1
    if c == 64 and FEATURES[d, AT_NAME] and starts_word(b, i + 1, e, d):
        return word_end(b, i + 1, e, d, 0)
    return -1


@kernel
def _dollar_param(b: int, i: int, e: int, d: int) -> int:
    if FEATURES[d, DOLLAR_NAME]:
        end = word_end(b, i + 1, e, d, 0)
        return end if end > i + 1 else -1
    if FEATURES[d, DOLLAR_NUMBER]:
        end = digits_end(b, i + 1, e)
        if end > i + 1:
            return digits_end(b, end + 1, e) if byte_at(b, end, e) == 46 else end
    return -1


@kernel
def quoted_end(b: int, i: int, e: int, d: int) -> int:
    """Return the position after the quoted name at ``i``; -1 if it never ends, 0 if none starts there."""
    c = load8(b + i)
    if c == 34 or (c == 96 and FEATURES[d, BACKTICK]):
        return string_end(b, i + 1, e, c, 0)
    if c == 91 and FEATURES[d, BRACKET]:
        if FEATURES[d, BRACKET_DOUBLED]:
            return string_end(b, i + 1, e, 93, 0)
        for p in range(i + 1, e):
            if load8(b + p) == 93:
                return p + 1
        return -1
    return 0
