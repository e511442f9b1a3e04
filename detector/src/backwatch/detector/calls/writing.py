"""The rules of ``statements/writer.py`` as kernels: they write the same bytes, token by token.

Written tokens are remembered in ``marks``: where each starts, its class, and what the rules need of it (``aux``). The
last cells of ``marks`` hold the writer's state, so that nothing is allocated per call. Names and order follow
``writer.Writer``: read the two side by side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.statements import spec
from backwatch.detector.calls.lexing import (
    CLASSES,
    COMMENT,
    CURLY,
    END,
    EXEC_CLOSE,
    EXEC_OPEN,
    OP,
    QUOTED,
    WORD,
    Bytes,
    skip_blanks,
    token,
)
from backwatch.detector.compiled import inline, kernel

Marks = Any
"""int64 cells; typed loosely, for what is computed of them are the kernels' plain integers."""

BYTES, COUNT, DEPTH, OVER, ROW_FIRST, ROW_LAST, ADMIN, KEYED, FIRST, CUT, CUT_DEPTH, STACK = range(12)
STATE: int = STACK + spec.NESTING
"""Cells of state: the above, then the open brackets."""

C_WORD, C_QUOTED, C_VALUE, C_LEFT, C_RIGHT, C_COMMA = (
    spec.C_WORD, spec.C_QUOTED, spec.C_VALUE, spec.C_LEFT, spec.C_RIGHT, spec.C_COMMA,
)  # fmt: skip
C_SEMICOLON, C_CAST, C_OP, C_LEFT_SQUARE, C_RIGHT_SQUARE = (
    spec.C_SEMICOLON, spec.C_CAST, spec.C_OP, spec.C_LEFT_SQUARE, spec.C_RIGHT_SQUARE,
)  # fmt: skip
LIST, SIGNED, LITERAL, VALUE_AFTER, ADMIN_WORD, ADMIN_FIRST = (
    spec.LIST, spec.SIGNED, spec.LITERAL, spec.VALUE_AFTER, spec.ADMIN, spec.ADMIN_FIRST,
)  # fmt: skip
SECRET, SECRET_REST, SECRET_KEY, KEYED_WORD, BOUNDARY, RESET, ARRAY = (
    spec.SECRET, spec.SECRET_REST, spec.SECRET_KEY, spec.KEYED, spec.BOUNDARY, spec.RESET, spec.ARRAY,
)  # fmt: skip
TOKEN_BYTES, NESTING = spec.TOKEN_BYTES, spec.NESTING
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


def _keyword_tables() -> tuple[int, NDArray[np.int16], NDArray[np.int32], Bytes]:
    """A multiplier under which no two keywords share a cell; cell → keyword; its start, length, flags; all letters."""
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


MULTIPLIER, KEYWORD_AT, KEYWORD_ROWS, KEYWORD_LETTERS = _keyword_tables()


@inline
def _fold(c: int) -> int:
    return c - 32 if 97 <= c <= 122 else c


@inline
def keyword(b: Bytes, start: int, end: int, h: int) -> int:
    """What the word ``b[start:end]`` with the hash ``h`` means to the rules; 0 for most."""
    size = end - start
    number = KEYWORD_AT[(h ^ h >> 12) & (KEYWORD_CELLS - 1)]
    if number < 0 or KEYWORD_ROWS[number, 1] != size:
        return 0
    begin = KEYWORD_ROWS[number, 0]
    for k in range(size):
        if KEYWORD_LETTERS[begin + k] != _fold(b[start + k]):
            return 0
    return KEYWORD_ROWS[number, 2]


@inline
def meanings(b: Bytes, start: int, end: int) -> int:
    """What the word ``b[start:end]`` means to the rules, in any letter case; 0 for most."""
    size = end - start
    if size > LONGEST_KEYWORD:
        return 0
    h = 0
    for i in range(start, end):
        h = (h * MULTIPLIER + _fold(b[i])) & 0xFFFFFFFF
    return keyword(b, start, end, h)


@inline
def _class_of(marks: Marks, state: Marks, back: int) -> int:
    """Class of the token ``back`` before the end; -1 where there is none."""
    return marks[state[COUNT] - back] & 15 if state[COUNT] >= back else -1


@inline
def _aux(marks: Marks, state: Marks, back: int) -> int:
    return marks[state[COUNT] - back] >> 4 & 0xFFFF


@inline
def _meant(marks: Marks, state: Marks, back: int) -> int:
    return _aux(marks, state, back) if _class_of(marks, state, back) == C_WORD else 0


@inline
def _begin(out: Bytes, marks: Marks, state: Marks, kind: int, aux: int) -> int:
    """Opens a token: its mark, and the blank before it if one belongs there. Where its bytes go."""
    at = state[BYTES]
    count = state[COUNT]
    marks[count] = at << 20 | aux << 4 | kind
    if count > 0:
        before = marks[count - 1] & 15
        spaced = SPACED[before, kind] != 0
        if spaced and kind == C_OP and before == C_OP:
            left = marks[count - 1] >> 4 & 0xFFFF
            spaced = left > 127 or aux > 127 or GLUED[left, aux] == 0
        if spaced:
            out[at] = 32
            at += 1
    state[COUNT] = count + 1
    return at


@inline
def _add_byte(out: Bytes, marks: Marks, state: Marks, kind: int, aux: int, byte: int) -> None:
    at = _begin(out, marks, state, kind, aux)
    out[at] = byte
    state[BYTES] = at + 1


@inline
def _drop(marks: Marks, state: Marks, first: int) -> None:
    state[BYTES] = marks[first] >> 20
    state[COUNT] = first


@inline
def write_value(out: Bytes, marks: Marks, state: Marks) -> None:
    """``?``, with the signs before it."""
    while _class_of(marks, state, 1) == C_OP and (_aux(marks, state, 1) == 45 or _aux(marks, state, 1) == 43):
        before = _class_of(marks, state, 2)
        if before >= 0:
            sign = before in (C_OP, C_LEFT, C_COMMA, C_SEMICOLON)
            if not sign and before != C_LEFT_SQUARE and not _meant(marks, state, 2) & SIGNED:
                break
        _drop(marks, state, state[COUNT] - 1)
    state[FIRST] = 0
    _add_byte(out, marks, state, C_VALUE, 0, 63)


@inline
def heed(flags: int, state: Marks) -> None:
    """What the word just written means for what follows."""
    first = state[FIRST]
    state[FIRST] = 0
    if flags & RESET:
        state[ADMIN] = state[KEYED] = state[DEPTH] = state[OVER] = 0
        state[ROW_FIRST] = state[ROW_LAST] = -1
        return
    if flags & ADMIN_WORD or (first and flags & ADMIN_FIRST):
        state[ADMIN] = 1
        if flags & KEYED_WORD:
            state[KEYED] = 1
    if state[ADMIN]:
        if flags & SECRET_REST and (first or not flags & ADMIN_FIRST):
            state[CUT] = 2
        elif flags & SECRET or (state[KEYED] and flags & SECRET_KEY):
            state[CUT] = 1
            state[CUT_DEPTH] = 0


@inline
def write_word(b: Bytes, start: int, end: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """A word in upper case, and what it means for what follows."""
    if end - start > TOKEN_BYTES:
        write_value(out, marks, state)
        return
    flags = meanings(b, start, end)
    at = _begin(out, marks, state, C_WORD, flags)
    for i in range(start, end):
        out[at] = _fold(b[i])
        at += 1
    state[BYTES] = at
    heed(flags, state)


@inline
def still_cut(b: Bytes, kind: int, start: int, end: int, out: Bytes, marks: Marks, state: Marks) -> bool:
    """Whether this token belongs to what is cut; the first such leaves a ``?``."""
    loose = state[CUT] == 1 and state[CUT_DEPTH] == 0
    if kind == OP:
        c = b[start] if end - start == 1 else 0
        if c == 59 or (loose and (c == 44 or c == 41)):
            state[CUT] = 0
            return False
        if c == 40:
            state[CUT_DEPTH] += 1
        elif c == 41:
            state[CUT_DEPTH] -= 1
    elif kind == WORD:
        flags = meanings(b, start, end)
        if flags & RESET or (loose and flags & BOUNDARY):
            state[CUT] = 0
            return False
    if _class_of(marks, state, 1) != C_VALUE:
        _add_byte(out, marks, state, C_VALUE, 0, 63)
    return True


@inline
def _is_value(mark: int) -> bool:
    kind, aux = mark & 15, mark >> 4 & 0xFFFF
    return kind == C_VALUE or (kind == C_QUOTED and aux == HIDDEN) or (kind == C_WORD and aux & LITERAL != 0)


@inline
def _value_is_due(marks: Marks, state: Marks) -> bool:
    count = state[COUNT]
    if count == 0:
        return False
    before, aux = _class_of(marks, state, 1), _aux(marks, state, 1)
    if before == C_OP:
        return aux == 60 or aux == 61 or aux == 62 or aux == 124
    if before == C_WORD:
        return aux & VALUE_AFTER != 0
    if before != C_LEFT and before != C_COMMA and before != C_LEFT_SQUARE:
        return False
    if state[DEPTH] == 0 or state[OVER] or not state[STACK + state[DEPTH] - 1] & 1:
        return False
    return before != C_COMMA or _is_value(marks[count - 2]) or marks[count - 2] & 15 == C_RIGHT


@inline
def write_quoted(b: Bytes, start: int, end: int, e: int, d: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """A quoted name as it is, or ``"?"`` where a value stands in double quotes."""
    odd = False
    hidden = end - start > TOKEN_BYTES
    for i in range(start, end):
        odd = odd or ODD_IN_NAME[b[i]] != 0
        hidden = hidden or b[i] < 32 or b[i] == 127
    if hidden:
        write_value(out, marks, state)
        return
    state[FIRST] = 0
    if b[start] == 34 and (odd or _value_is_due(marks, state)):
        dotted = False
        if not odd:
            p = skip_blanks(b, end, e, d)
            dotted = p < e and b[p] == 46 and not (p + 1 < e and 48 <= b[p + 1] <= 57)
        if not dotted:
            at = _begin(out, marks, state, C_QUOTED, HIDDEN)
            out[at], out[at + 1], out[at + 2] = 34, 63, 34
            state[BYTES] = at + 3
            return
    at = _begin(out, marks, state, C_QUOTED, 0)
    for i in range(start, end):
        out[at] = b[i]
        at += 1
    state[BYTES] = at


@kernel
def write_curly(b: Bytes, start: int, end: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """A text in typographic quotes: its quotes and a ``?``."""
    at = _begin(out, marks, state, C_QUOTED, 2)
    for k in range(3):
        out[at + k] = b[start + k]
        out[at + 4 + k] = b[end - 3 + k]
    out[at + 3] = 63
    state[BYTES] = at + 7


@inline
def _opens_a_list(marks: Marks, state: Marks, kind: int) -> bool:
    count = state[COUNT]
    if count == 0 or state[OVER]:
        return False
    if kind == C_LEFT_SQUARE:
        return _meant(marks, state, 1) & ARRAY != 0
    before = _class_of(marks, state, 1)
    if before == C_COMMA:
        return state[ROW_LAST] == count - 2 and count > 2
    if before == C_LEFT:
        return state[DEPTH] > 0 and state[STACK + state[DEPTH] - 1] == ((count - 1) << 1 | 1)
    return _meant(marks, state, 1) & LIST != 0


@inline
def write_operator(b: Bytes, start: int, end: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """One operator, comma or bracket; lists are folded where they close."""
    if end - start == 2:
        at = _begin(out, marks, state, C_CAST, CAST_SIGN)
        out[at] = out[at + 1] = 58
        state[BYTES] = at + 2
        return
    c = int(b[start])
    kind = int(CLASS_OF_OP[c])
    if kind in (C_LEFT, C_LEFT_SQUARE):
        listed = _opens_a_list(marks, state, kind)
        _add_byte(out, marks, state, kind, 0, c)
        if state[DEPTH] >= NESTING:
            state[OVER] += 1
        else:
            state[STACK + state[DEPTH]] = (state[COUNT] - 1) << 1 | (1 if listed else 0)
            state[DEPTH] += 1
        return
    if kind == C_SEMICOLON:
        state[ADMIN] = state[KEYED] = 0
        state[FIRST] = 1
    elif kind == C_OP:
        state[FIRST] = 0
    elif kind in (C_RIGHT, C_RIGHT_SQUARE):
        _close(c, kind, out, marks, state)
        return
    _add_byte(out, marks, state, kind, c, c)


@inline
def _close(c: int, kind: int, out: Bytes, marks: Marks, state: Marks) -> None:
    opener = C_LEFT if kind == C_RIGHT else C_LEFT_SQUARE
    if state[OVER]:
        state[OVER] -= 1
        _add_byte(out, marks, state, kind, 0, c)
        return
    entry = state[STACK + state[DEPTH] - 1] if state[DEPTH] > 0 else 0
    start = entry >> 1
    if state[DEPTH] == 0 or marks[start] & 15 != opener:
        _add_byte(out, marks, state, kind, 0, c)
        return
    state[DEPTH] -= 1
    if not entry & 1:
        _add_byte(out, marks, state, kind, 0, c)
        return
    _fold_values(start, out, marks, state)
    _add_byte(out, marks, state, kind, 0, c)
    first, last = state[ROW_FIRST], state[ROW_LAST]
    follows = start >= 2 and marks[start - 1] & 15 == C_COMMA and last == start - 2
    if follows and _same(first, last, start, out, marks, state):
        _drop(marks, state, start - 1)
    else:
        state[ROW_FIRST] = start
        state[ROW_LAST] = state[COUNT] - 1


@kernel
def _fold_values(start: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """Makes one value of the list that was opened at token ``start``, if it holds values only."""
    count = state[COUNT]
    hidden = False
    for at in range(start + 1, count):
        kind = marks[at] & 15
        if kind != C_COMMA and not _is_value(marks[at]):
            return
        hidden = hidden or kind == C_QUOTED
    if count == start + 1:
        return
    _drop(marks, state, start + 1)
    if hidden:
        at = _begin(out, marks, state, C_QUOTED, HIDDEN)
        out[at], out[at + 1], out[at + 2] = 34, 63, 34
        state[BYTES] = at + 3
    else:
        _add_byte(out, marks, state, C_VALUE, 0, 63)


@kernel
def _same(first: int, last: int, start: int, out: Bytes, marks: Marks, state: Marks) -> bool:
    """Whether the list just written from token ``start`` on repeats the one at ``first`` to ``last``."""
    if last - first != state[COUNT] - 1 - start:
        return False
    a, stop = marks[first + 1] >> 20, marks[last] >> 20
    b = marks[start + 1] >> 20
    if stop - a != (marks[state[COUNT] - 1] >> 20) - b:
        return False
    while a < stop:
        if out[a] != out[b]:
            return False
        a += 1
        b += 1
    return True


@inline
def write_token(b: Bytes, kind: int, i: int, end: int, e: int, d: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """Writes one token of any kind."""
    if state[CUT] and still_cut(b, kind, i, end, out, marks, state):
        return
    if kind == WORD:
        write_word(b, i, end, out, marks, state)
    elif kind == OP:
        write_operator(b, i, end, out, marks, state)
    elif kind == QUOTED:
        write_quoted(b, i, end, e, d, out, marks, state)
    elif kind == CURLY:
        write_curly(b, i, end, out, marks, state)
    elif kind == EXEC_OPEN:
        at = _begin(out, marks, state, C_OP, EXEC_OPENS)
        out[at], out[at + 1], out[at + 2] = 47, 42, 33
        state[BYTES] = at + 3
    elif kind == EXEC_CLOSE:
        at = _begin(out, marks, state, C_OP, EXEC_CLOSES)
        out[at], out[at + 1] = 42, 47
        state[BYTES] = at + 2
    elif kind != END:
        write_value(out, marks, state)


@kernel
def write_all(b: Bytes, i: int, e: int, d: int, out: Bytes, marks: Marks, state: Marks) -> None:
    """Writes the tokens of ``b[i:e]`` while there is room: a token needs its own bytes and eight, and one mark."""
    room = out.shape[0] - TOKEN_BYTES - 8
    row = d << 8
    size, count, before = 0, 0, C_LEFT  # bytes and tokens written, class of the last one; ``state`` has them for others
    while i < e:
        bits = LETTERS[row | int(b[i])]
        if bits & 1:
            i += 1
            continue
        if count >= marks.shape[0] or size >= room:
            break
        if bits & 16 and not state[CUT]:
            # A plain ASCII word, most of what there is: read, folded and written in one go.
            start, stop = i, min(e, i + TOKEN_BYTES)
            at = begin = size + SPACED[before, C_WORD]
            h = 0
            while i < stop:
                c = b[i]
                if not LETTERS[row | int(c)] & 4 or c > 127:
                    break
                c = UPPER[c]
                h = (h * MULTIPLIER + int(c)) & 0xFFFFFFFF
                out[at] = c
                at += 1
                i += 1
            following = int(b[i]) if i < e else 0
            if following < 128 and (i < stop or stop == e) and following != 39 and following != 38:
                if begin > size:
                    out[size] = 32
                flags = keyword(out, begin, at, h)
                marks[count] = size << 20 | flags << 4 | C_WORD
                size, count, before = at, count + 1, C_WORD
                if flags == 0:
                    state[FIRST] = 0
                else:
                    heed(flags, state)
                continue
            i = start
        state[BYTES], state[COUNT] = size, count
        if bits & 32 and not state[CUT]:
            write_operator(b, i, i + 1, out, marks, state)
            i += 1
        else:
            i = skip_blanks(b, i, e, d)
            if i >= e:
                break
            kind, end = token(b, i, e, d)
            if kind != COMMENT:
                write_token(b, kind, i, end, e, d, out, marks, state)
            i = end
        size, count = state[BYTES], state[COUNT]
        before = marks[count - 1] & 15 if count > 0 else C_LEFT
    state[BYTES], state[COUNT] = size, count
