"""The rules of ``statements/writer.py`` as kernels: they write the same bytes, token by token.

Names and order follow ``writer.Writer``: read the two side by side.
"""

from backwatch.detector.calls.letters import skip_blanks
from backwatch.detector.calls.lexing import COMMENT, CURLY, END, EXEC_CLOSE, EXEC_OPEN, OP, QUOTED, WORD, token
from backwatch.detector.calls.lists import value_is_due, write_operator
from backwatch.detector.calls.marks import (
    ADMIN,
    ADMIN_FIRST,
    ADMIN_WORD,
    BOUNDARY,
    BYTES,
    C_LEFT,
    C_OP,
    C_QUOTED,
    C_VALUE,
    C_WORD,
    COUNT,
    CUT,
    CUT_DEPTH,
    DEPTH,
    EXEC_CLOSES,
    EXEC_OPENS,
    FIRST,
    HIDDEN,
    KEYED,
    KEYED_WORD,
    LETTERS,
    MULTIPLIER,
    ODD_IN_NAME,
    OVER,
    RESET,
    ROW_FIRST,
    ROW_LAST,
    SECRET,
    SECRET_KEY,
    SECRET_REST,
    SPACED,
    TOKEN_BYTES,
    UPPER,
    add_byte,
    begin,
    cell,
    class_of,
    keyword,
    meanings,
    put,
    upper_byte,
    write_value,
)
from backwatch.detector.calls.memory import load8, store8
from backwatch.detector.compiled import kernel


@kernel
def heed(flags: int, state: int) -> None:
    """What the word just written means for what follows."""
    first = cell(state, FIRST)
    put(state, FIRST, 0)
    if flags & RESET:
        put(state, ADMIN, 0)
        put(state, KEYED, 0)
        put(state, DEPTH, 0)
        put(state, OVER, 0)
        put(state, ROW_FIRST, -1)
        put(state, ROW_LAST, -1)
        return
    if flags & ADMIN_WORD or (first and flags & ADMIN_FIRST):
        put(state, ADMIN, 1)
        if flags & KEYED_WORD:
            put(state, KEYED, 1)
    if cell(state, ADMIN):
        if flags & SECRET_REST and (first or not flags & ADMIN_FIRST):
            put(state, CUT, 2)
        elif flags & SECRET or (cell(state, KEYED) and flags & SECRET_KEY):
            put(state, CUT, 1)
            put(state, CUT_DEPTH, 0)


@kernel
def write_word(b: int, start: int, end: int, out: int, marks: int, state: int) -> None:
    """A word in upper case, and what it means for what follows."""
    if end - start > TOKEN_BYTES:
        write_value(out, marks, state)
        return
    flags = meanings(b, start, end)
    at = begin(out, marks, state, C_WORD, flags)
    for i in range(start, end):
        store8(out + at, upper_byte(load8(b + i)))
        at += 1
    put(state, BYTES, at)
    heed(flags, state)


@kernel
def still_cut(b: int, kind: int, start: int, end: int, out: int, marks: int, state: int) -> bool:
    """Whether this token belongs to what is cut; the first such leaves a ``?``."""
    loose = cell(state, CUT) == 1 and cell(state, CUT_DEPTH) == 0
    if kind == OP:
        c = load8(b + start) if end - start == 1 else 0
        if c == 59 or (loose and (c == 44 or c == 41)):
            put(state, CUT, 0)
            return False
        if c == 40:
            put(state, CUT_DEPTH, cell(state, CUT_DEPTH) + 1)
        elif c == 41:
            put(state, CUT_DEPTH, cell(state, CUT_DEPTH) - 1)
    elif kind == WORD:
        flags = meanings(b, start, end)
        if flags & RESET or (loose and flags & BOUNDARY):
            put(state, CUT, 0)
            return False
    if class_of(marks, state, 1) != C_VALUE:
        add_byte(out, marks, state, C_VALUE, 0, 63)
    return True


@kernel
def write_quoted(b: int, start: int, end: int, e: int, d: int, out: int, marks: int, state: int) -> None:
    """A quoted name as it is, or ``"?"`` where a value stands in double quotes."""
    odd = False
    hidden = end - start > TOKEN_BYTES
    for i in range(start, end):
        odd = odd or ODD_IN_NAME[load8(b + i)] != 0
        hidden = hidden or load8(b + i) < 32 or load8(b + i) == 127
    if hidden:
        write_value(out, marks, state)
        return
    put(state, FIRST, 0)
    if load8(b + start) == 34 and (odd or value_is_due(marks, state)):
        dotted = False
        if not odd:
            p = skip_blanks(b, end, e, d)
            dotted = p < e and load8(b + p) == 46 and not (p + 1 < e and 48 <= load8(b + p + 1) <= 57)
        if not dotted:
            at = begin(out, marks, state, C_QUOTED, HIDDEN)
            store8(out + at, 34)
            store8(out + at + 1, 63)
            store8(out + at + 2, 34)
            put(state, BYTES, at + 3)
            return
    at = begin(out, marks, state, C_QUOTED, 0)
    for i in range(start, end):
        store8(out + at, load8(b + i))
        at += 1
    put(state, BYTES, at)


@kernel
def write_curly(b: int, start: int, end: int, out: int, marks: int, state: int) -> None:
    """A text in typographic quotes: its quotes and a ``?``."""
    at = begin(out, marks, state, C_QUOTED, 2)
    for k in range(3):
        store8(out + at + k, load8(b + start + k))
        store8(out + at + 4 + k, load8(b + end - 3 + k))
    store8(out + at + 3, 63)
    put(state, BYTES, at + 7)


@kernel
def write_token(b: int, kind: int, i: int, end: int, e: int, d: int, out: int, marks: int, state: int) -> None:
    """Writes one token of any kind."""
    if cell(state, CUT) and still_cut(b, kind, i, end, out, marks, state):
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
        at = begin(out, marks, state, C_OP, EXEC_OPENS)
        store8(out + at, 47)
        store8(out + at + 1, 42)
        store8(out + at + 2, 33)
        put(state, BYTES, at + 3)
    elif kind == EXEC_CLOSE:
        at = begin(out, marks, state, C_OP, EXEC_CLOSES)
        store8(out + at, 42)
        store8(out + at + 1, 47)
        put(state, BYTES, at + 2)
    elif kind != END:
        write_value(out, marks, state)


@kernel
def write_all(b: int, i: int, e: int, d: int, out: int, room: int, marks: int, most: int, state: int) -> None:
    """Writes the tokens of ``b[i:e]`` to ``out`` while there is room.

    A token takes at most ``TOKEN_BYTES`` and eight, and one mark: none is begun where ``room`` bytes or ``most`` marks
    would not hold it.
    """
    room -= TOKEN_BYTES + 8
    row = d << 8
    size, count, before = 0, 0, C_LEFT  # bytes and tokens written, class of the last one; ``state`` has them for others
    while i < e:
        bits = LETTERS[row | load8(b + i)]
        if bits & 1:
            i += 1
            continue
        if count >= most or size >= room:
            break
        if bits & 16 and not cell(state, CUT):
            # A plain ASCII word, most of what there is: read, folded and written in one go.
            start, stop = i, min(e, i + TOKEN_BYTES)
            at = first = size + SPACED[before, C_WORD]
            h = 0
            while i < stop:
                c = load8(b + i)
                if not LETTERS[row | c] & 4 or c > 127:
                    break
                c = int(UPPER[c])
                h = (h * MULTIPLIER + c) & 0xFFFFFFFF
                store8(out + at, c)
                at += 1
                i += 1
            following = load8(b + i) if i < e else 0
            if following < 128 and (i < stop or stop == e) and following != 39 and following != 38:
                if first > size:
                    store8(out + size, 32)
                flags = keyword(out, first, at, h)
                put(marks, count, size << 20 | flags << 4 | C_WORD)
                size, count, before = at, count + 1, C_WORD
                if flags == 0:
                    put(state, FIRST, 0)
                else:
                    heed(flags, state)
                continue
            i = start
        put(state, BYTES, size)
        put(state, COUNT, count)
        if bits & 32 and not cell(state, CUT):
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
        size, count = cell(state, BYTES), cell(state, COUNT)
        before = cell(marks, count - 1) & 15 if count > 0 else C_LEFT
    put(state, BYTES, size)
    put(state, COUNT, count)
