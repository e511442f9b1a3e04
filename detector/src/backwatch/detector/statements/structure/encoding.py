"""Tokens of canonical text: 16-bit codes for alignment, 32-bit ids for filters of known names and trigrams."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.letters import Bytes
from backwatch.detector.statements.structure.vocabulary import (
    CLOSING,
    COMMA,
    DOT,
    FIRST_NAME,
    HASH_START,
    LEFT_CURLY,
    LEFT_SQUARE,
    NAMES,
    OPENING,
    RIGHT_CURLY,
    RIGHT_SQUARE,
    SEMICOLON,
    UNKNOWN_SYMBOL,
    VALUE,
    WORD_CODES,
    WORD_HASHES,
    add_byte,
    find_word,
)

MAX_TOKENS: Final = 256
"""Tokens of a statement that are judged: of a longer one its first three quarters of them and its last."""
HEAD: Final = 192
"""Tokens that are kept of a long statement's beginning."""
TAIL: Final = MAX_TOKENS - HEAD
TOKEN_CELLS: Final = MAX_TOKENS + TAIL
"""Cells that :func:`encode` needs for one statement."""


_BLANK, _WORD, _DIGIT, _SIGN, _SINGLE, _QUOTE = range(6)


def _classes() -> Bytes:
    table = np.full(256, _SINGLE, np.uint8)
    for code in range(256):
        letter = chr(code)
        if code <= 32:
            table[code] = _BLANK
        elif code >= 128 or letter in "_$#@" or (letter.isascii() and letter.isalpha()):
            table[code] = _WORD
        elif letter in "0123456789":
            table[code] = _DIGIT
        elif letter in "<>=!|&~:+*/%^-":
            table[code] = _SIGN
        elif letter in "\"`'":
            table[code] = _QUOTE
    return table


CLASSES: Final = _classes()
_SINGLES: Final = np.zeros(256, np.uint16)
for _letter, _code in (
    ("?", VALUE), ("(", OPENING), (")", CLOSING), (",", COMMA), (".", DOT), (";", SEMICOLON), ("[", LEFT_SQUARE),
    ("]", RIGHT_SQUARE), ("{", LEFT_CURLY), ("}", RIGHT_CURLY),
):  # fmt: skip
    _SINGLES[ord(_letter)] = _code


@kernel
def token_at(
    text: Bytes, at: int, end: int, classes: Bytes, singles: Any, hashes: Any, codes: Any
) -> tuple[int, int, int]:
    """Return code, id and end of the token at ``at``, which must be no blank."""
    kind = classes[text[at]]
    value = HASH_START
    if kind == _QUOTE:
        stop = at + 1
        while stop < end and text[stop] != text[at]:
            byte = text[stop]
            value = add_byte(value, byte - 32 if 97 <= byte <= 122 else byte)
            stop += 1
        if stop - at == 2 and text[at + 1] == 63:  # a quoted question mark: a value that was redacted
            return VALUE, VALUE, min(stop + 1, end)
        if text[at] == 39:
            return VALUE, VALUE, min(stop + 1, end)
        if stop >= end or stop - at == 1:  # never closed
            return UNKNOWN_SYMBOL, UNKNOWN_SYMBOL, at + 1
        return FIRST_NAME + value % NAMES, value | 0x10000, stop + 1
    if kind == _WORD or kind == _DIGIT:
        stop = at
        while stop < end and (classes[text[stop]] == _WORD or classes[text[stop]] == _DIGIT):
            byte = text[stop]
            value = add_byte(value, byte - 32 if 97 <= byte <= 122 else byte)
            stop += 1
        if kind == _DIGIT:
            return VALUE, VALUE, stop
        code = find_word(value, hashes, codes)
        if code != 0:
            return code, code, stop
        return FIRST_NAME + value % NAMES, value | 0x10000, stop
    if kind == _SIGN:
        stop = at
        while stop < end and classes[text[stop]] == _SIGN:
            value = add_byte(value, text[stop])
            stop += 1
        code = find_word(value, hashes, codes)
        if code != 0:
            return code, code, stop
        return UNKNOWN_SYMBOL, UNKNOWN_SYMBOL + (value & 0xFF00), stop
    code = int(singles[text[at]])
    if code == 0:
        code = UNKNOWN_SYMBOL
    return code, code if code != UNKNOWN_SYMBOL else UNKNOWN_SYMBOL + (int(text[at]) << 8), at + 1


@kernel
def _encode(
    text: Bytes, start: int, end: int, tables: tuple[Any, Any, Any, Any], codes: Any, ids: Any, spare_codes: Any,
    spare_ids: Any,
) -> int:  # fmt: skip
    classes, singles, hashes, words = tables
    count, at = 0, start  # tokens so far; from the head on, their places are a ring
    while at < end:
        if classes[text[at]] == _BLANK:
            at += 1
            continue
        code, value, at = token_at(text, at, end, classes, singles, hashes, words)
        # A qualified name is one token, its last part: aliases change, columns do not.
        is_qualified = code >= FIRST_NAME and 1 < count <= MAX_TOKENS and codes[count - 1] == DOT
        if is_qualified and codes[count - 2] >= FIRST_NAME:
            count -= 2
        place = count if count < MAX_TOKENS else HEAD + (count - HEAD) % TAIL
        codes[place] = code
        ids[place] = value
        count += 1
    if count <= MAX_TOKENS:
        return count
    first = (count - HEAD) % TAIL  # the oldest of the ring
    for k in range(TAIL):
        spare_codes[k], spare_ids[k] = codes[HEAD + k], ids[HEAD + k]
    for k in range(TAIL):
        codes[HEAD + k], ids[HEAD + k] = spare_codes[(first + k) % TAIL], spare_ids[(first + k) % TAIL]
    return MAX_TOKENS


TABLES: Final = (CLASSES, _SINGLES, WORD_HASHES, WORD_CODES)


@kernel
def encode(text: Bytes, start: int, end: int, tables: tuple[Any, Any, Any, Any], codes: Any, ids: Any) -> int:
    """Write the tokens of canonical text; return their number.

    Args:
        text: Any bytes; nothing outside of ``start`` and ``end`` is read.
        start: First byte.
        end: After the last.
        tables: ``TABLES``.
        codes: uint16 [TOKEN_CELLS], written.
        ids: uint32 [TOKEN_CELLS], written: the hash of a name, else the code.
    """
    return _encode(
        text, max(start, 0), min(end, text.shape[0]), tables, codes, ids, codes[MAX_TOKENS:], ids[MAX_TOKENS:]
    )


def tokens_of(canonical: str) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Return codes and ids of one text; for what is not hot."""
    text = np.frombuffer(canonical.encode("utf-8", "replace") or b" ", np.uint8)
    codes, ids = np.zeros(TOKEN_CELLS, np.uint16), np.zeros(TOKEN_CELLS, np.uint32)
    count = encode(text, 0, text.shape[0], TABLES, codes, ids)
    return codes[:count].copy(), ids[:count].copy()
