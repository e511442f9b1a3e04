"""State of the writer of canonical text, as cells of one array, with its tables of words and classes.

Written tokens are remembered in ``tokens``: where each starts, its class, and what the rules need of it (``aux``). The
last cells of ``tokens`` hold the writer's state, so that nothing is allocated per call.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.statements import spec
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8, load64, store8, store64
from backwatch.detector.statements.letters import CLASSES, Bytes

TokenCells = Any
"""int64 cells; typed loosely, for what is computed of them are the kernels' plain integers."""

BYTES, COUNT, DEPTH, OVER, ROW_FIRST, ROW_LAST, ADMIN, KEYED, FIRST, CUT, CUT_DEPTH, STACK = range(12)
STATE: int = STACK + spec.NESTING
"""Cells of state: the above, then the open brackets."""

C_WORD, C_QUOTED, C_VALUE, C_LEFT, C_RIGHT, C_COMMA, C_DOT = (
    spec.C_WORD, spec.C_QUOTED, spec.C_VALUE, spec.C_LEFT, spec.C_RIGHT, spec.C_COMMA, spec.C_DOT,
)  # fmt: skip
C_SEMICOLON, C_CAST, C_OP, C_LEFT_SQUARE, C_RIGHT_SQUARE = (
    spec.C_SEMICOLON, spec.C_CAST, spec.C_OP, spec.C_LEFT_SQUARE, spec.C_RIGHT_SQUARE,
)  # fmt: skip
LIST, SIGNED, LITERAL, VALUE_AFTER, ADMIN_WORD, ADMIN_FIRST = (
    spec.LIST, spec.SIGNED, spec.LITERAL, spec.VALUE_AFTER, spec.ADMIN, spec.ADMIN_FIRST,
)  # fmt: skip
NAME_AFTER, SETS, RUNS, ALTERS, ASSIGNS, FIXED, VERB, REMEMBERED = (
    spec.NAME_AFTER, spec.SETS, spec.RUNS, spec.ALTERS, spec.ASSIGNS, spec.FIXED, spec.VERB, spec.REMEMBERED,
)  # fmt: skip
CUT_BOUNDED, CUT_WHOLE, SET_NAME, SET_VALUE, RUN_NAME, RUN_VALUES, ALTERED = (
    spec.CUT_BOUNDED, spec.CUT_WHOLE, spec.SET_NAME, spec.SET_VALUE, spec.RUN_NAME, spec.RUN_VALUES, spec.ALTERED,
)  # fmt: skip
SECRET, SECRET_REST, SECRET_KEY, KEYED_WORD, BOUNDARY, RESET, ARRAY = (
    spec.SECRET, spec.SECRET_REST, spec.SECRET_KEY, spec.KEYED, spec.BOUNDARY, spec.RESET, spec.ARRAY,
)  # fmt: skip
TOKEN_BYTES, NESTING, SETTING_NAMES = spec.TOKEN_BYTES, spec.NESTING, spec.SETTING_NAMES
DOUBTFUL = np.array([name in spec.DOUBTFUL for name in spec.DIALECTS], np.uint8)
HIDDEN = 1
EXEC_OPENS, EXEC_CLOSES, CAST_SIGN = 256, 257, 258
"""``aux`` of the operators that are more than one character."""

SPACED = np.array(spec.SPACED, np.uint8)
ODD_IN_NAME = np.array([code in spec.ODD_IN_NAME and code != 34 for code in range(256)], np.uint8)
CLASS_OF_OP = np.full(256, C_OP, np.uint8)
for _letter, _class in spec.CLASS_OF_OP.items():
    CLASS_OF_OP[ord(_letter)] = _class
GLUED = np.zeros((128, 128), np.uint8)
for _pair in spec.GLUED:
    GLUED[ord(_pair[0]), ord(_pair[1])] = 1

LETTERS = CLASSES.copy().ravel()
"""Bits per byte, one row of 256 per dialect; 16: starts a plain ASCII word; 32: is always an operator."""
UPPER = np.array([code - 32 if 97 <= code <= 122 else code for code in range(256)], np.uint8)
for _code in (*range(65, 91), *range(97, 123), 95):
    LETTERS[_code::256] |= 16
for _letter in ",();=<>!+|&^~{}]":
    LETTERS[ord(_letter) :: 256] |= 32

KEYWORD_CELLS = 4096
LONGEST_KEYWORD = max(len(word.encode()) for word in spec.KEYWORDS)


def keyword_tables() -> tuple[int, NDArray[np.int16], NDArray[np.int32], Bytes]:
    """Return a multiplier without collisions of keywords; cell → keyword; start, length, flags; all letters."""
    words = [(word.encode(), flags) for word, flags in spec.KEYWORDS.items()]
    for multiplier in range(31, 20_001, 2):
        cells: dict[int, int] = {}
        for number, (word, _) in enumerate(words):
            h = 0
            for byte in word:
                h = (h * multiplier + byte) & 0xFFFFFFFF
            if cells.setdefault((h ^ h >> 12) & (KEYWORD_CELLS - 1), number) != number:
                break
        else:
            break
    else:
        raise ValueError("no multiplier keeps the keywords apart: enlarge KEYWORD_CELLS")
    cell_of = np.full(KEYWORD_CELLS, -1, np.int16)
    for cell, number in cells.items():
        cell_of[cell] = number
    ends = np.cumsum([len(word) for word, _ in words])
    rows = [(int(end) - len(word), len(word), flags) for end, (word, flags) in zip(ends, words, strict=True)]
    letters = np.frombuffer(b"".join(word for word, _ in words), np.uint8).copy()
    return multiplier, cell_of, np.array(rows, np.int32), letters


MULTIPLIER, KEYWORD_AT, KEYWORD_ROWS, KEYWORD_LETTERS = keyword_tables()


@inline
def cell(cells: int, at: int) -> int:
    """The number in a cell of tokens or state, whose address is ``cells``."""
    return load64(cells + 8 * at)


@inline
def put(cells: int, at: int, value: int) -> None:
    """Write a number into a cell of the state."""
    store64(cells + 8 * at, value)


@inline
def upper_byte(c: int) -> int:
    """ASCII letters in upper case, all else as it is."""
    return c - 32 if 97 <= c <= 122 else c


@inline
def keyword(b: int, start: int, end: int, h: int) -> int:
    """Return the flags of the word ``b[start:end]`` with the hash ``h``; 0 for most."""
    size = end - start
    number = KEYWORD_AT[(h ^ h >> 12) & (KEYWORD_CELLS - 1)]
    if number < 0 or KEYWORD_ROWS[number, 1] != size:
        return 0
    begin = KEYWORD_ROWS[number, 0]
    for k in range(size):
        if KEYWORD_LETTERS[begin + k] != upper_byte(load8(b + start + k)):
            return 0
    return KEYWORD_ROWS[number, 2]


@kernel
def meanings(b: int, start: int, end: int) -> int:
    """Return the flags of the word ``b[start:end]``, in any letter case; 0 for most."""
    size = end - start
    if size > LONGEST_KEYWORD:
        return 0
    h = 0
    for i in range(start, end):
        h = (h * MULTIPLIER + upper_byte(load8(b + i))) & 0xFFFFFFFF
    return keyword(b, start, end, h)


@inline
def class_of(tokens: int, state: int, back: int) -> int:
    """Return the class of the token ``back`` before the end; -1 if there is none."""
    return cell(tokens, cell(state, COUNT) - back) & 15 if cell(state, COUNT) >= back else -1


@inline
def aux_of(tokens: int, state: int, back: int) -> int:
    """``aux`` of the token ``back`` before the end."""
    return cell(tokens, cell(state, COUNT) - back) >> 4 & 0xFFFF


@kernel
def meant(tokens: int, state: int, back: int) -> int:
    """The meanings of the word ``back`` before the end; 0 where it is no word."""
    return aux_of(tokens, state, back) if class_of(tokens, state, back) == C_WORD else 0


@inline
def begin(out: int, tokens: int, state: int, kind: int, aux: int) -> int:
    """Open a token: note its start, and write the blank before it if one belongs there."""
    at = cell(state, BYTES)
    count = cell(state, COUNT)
    put(tokens, count, at << 20 | aux << 4 | kind)
    if count > 0:
        before = cell(tokens, count - 1) & 15
        spaced = SPACED[before, kind] != 0
        if spaced and kind == C_OP and before == C_OP:
            left = cell(tokens, count - 1) >> 4 & 0xFFFF
            spaced = left > 127 or aux > 127 or GLUED[left, aux] == 0
        if spaced:
            store8(out + at, 32)
            at += 1
    put(state, COUNT, count + 1)
    return at


@inline
def add_byte(out: int, tokens: int, state: int, kind: int, aux: int, byte: int) -> None:
    """Write a token of one byte."""
    at = begin(out, tokens, state, kind, aux)
    store8(out + at, byte)
    put(state, BYTES, at + 1)


@kernel
def drop(tokens: int, state: int, first: int) -> None:
    """Remove the tokens from ``first`` on."""
    put(state, BYTES, cell(tokens, first) >> 20)
    put(state, COUNT, first)


@kernel
def write_value(out: int, tokens: int, state: int) -> None:
    """``?``, with the signs before it."""
    while class_of(tokens, state, 1) == C_OP and (aux_of(tokens, state, 1) == 45 or aux_of(tokens, state, 1) == 43):
        before = class_of(tokens, state, 2)
        if before >= 0:
            sign = before in (C_OP, C_LEFT, C_COMMA, C_SEMICOLON)
            if not sign and before != C_LEFT_SQUARE and not meant(tokens, state, 2) & SIGNED:
                break
        drop(tokens, state, cell(state, COUNT) - 1)
    put(state, FIRST, 0)
    add_byte(out, tokens, state, C_VALUE, 0, 63)
