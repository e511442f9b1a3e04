"""The rules of ``statements/writer.py`` as kernels: they write the same bytes, token by token.

Names and order follow ``writer.Writer``: read the two side by side.
"""

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import load8, store8
from backwatch.detector.statements.letters import skip_blanks
from backwatch.detector.statements.lexing import COMMENT, CURLY, END, EXEC_CLOSE, EXEC_OPEN, OP, QUOTED, WORD, token
from backwatch.detector.statements.lists import value_is_due, write_operator
from backwatch.detector.statements.tokenizer_state import (
    ADMIN,
    ADMIN_FIRST,
    ADMIN_WORD,
    ALTERED,
    ALTERS,
    ASSIGNS,
    BOUNDARY,
    BYTES,
    C_COMMA,
    C_DOT,
    C_LEFT,
    C_OP,
    C_QUOTED,
    C_VALUE,
    C_WORD,
    COUNT,
    CUT,
    CUT_BOUNDED,
    CUT_DEPTH,
    CUT_WHOLE,
    DEPTH,
    DOUBTFUL,
    EXEC_CLOSES,
    EXEC_OPENS,
    FIRST,
    FIXED,
    HIDDEN,
    KEYED,
    KEYED_WORD,
    LETTERS,
    LITERAL,
    MULTIPLIER,
    NAME_AFTER,
    ODD_IN_NAME,
    OVER,
    REMEMBERED,
    RESET,
    ROW_FIRST,
    ROW_LAST,
    RUN_NAME,
    RUN_VALUES,
    RUNS,
    SECRET,
    SECRET_KEY,
    SECRET_REST,
    SET_NAME,
    SET_VALUE,
    SETS,
    SETTING_NAMES,
    SPACED,
    TOKEN_BYTES,
    UPPER,
    VERB,
    add_byte,
    begin,
    cell,
    class_of,
    keyword,
    meanings,
    meant,
    put,
    upper_byte,
    write_value,
)


@kernel
def follow_word(flags: int, state: int) -> None:
    """Update the state by the word just written."""
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
    if flags & SETS and (first or cell(state, CUT) == ALTERED):
        put(state, CUT, SET_NAME)
        put(state, CUT_DEPTH, 0)
    elif first and flags & (RUNS | ALTERS):
        put(state, CUT, RUN_NAME if flags & RUNS else ALTERED)
        put(state, CUT_DEPTH, 0)
    if flags & ADMIN_WORD or (first and flags & ADMIN_FIRST):
        put(state, ADMIN, 1)
        if flags & KEYED_WORD:
            put(state, KEYED, 1)
    if cell(state, ADMIN):
        if flags & SECRET_REST and (first or not flags & ADMIN_FIRST):
            put(state, CUT, CUT_WHOLE)
        elif flags & SECRET or (cell(state, KEYED) and flags & SECRET_KEY):
            put(state, CUT, CUT_BOUNDED)
            put(state, CUT_DEPTH, 0)


@kernel
def add_word(b: int, start: int, end: int, flags: int, out: int, tokens: int, state: int) -> None:
    """A word in upper case."""
    at = begin(out, tokens, state, C_WORD, flags & REMEMBERED)
    for i in range(start, end):
        store8(out + at, upper_byte(load8(b + i)))
        at += 1
    put(state, BYTES, at)


@kernel
def add_hidden(out: int, tokens: int, state: int) -> None:
    """Write the placeholder of a double-quoted text that may be a value."""
    at = begin(out, tokens, state, C_QUOTED, HIDDEN)
    store8(out + at, 34)
    store8(out + at + 1, 63)
    store8(out + at + 2, 34)
    put(state, BYTES, at + 3)


@kernel
def unwritable(b: int, start: int, end: int) -> bool:
    """Return whether a name is always hidden."""
    if end - start > TOKEN_BYTES:
        return True
    for i in range(start, end):
        if load8(b + i) < 32 or load8(b + i) == 127:
            return True
    return False


@kernel
def write_word(b: int, start: int, end: int, out: int, tokens: int, state: int) -> None:
    """A word in upper case, and what it means for what follows."""
    if end - start > TOKEN_BYTES:
        write_value(out, tokens, state)
        return
    flags = meanings(b, start, end)
    add_word(b, start, end, flags, out, tokens, state)
    follow_word(flags, state)


@kernel
def wait(b: int, kind: int, start: int, end: int, tokens: int, state: int) -> None:
    """Return whether this token still leads to a setting's value, or to the arguments of an executed statement."""
    cut, depth = cell(state, CUT), cell(state, CUT_DEPTH)
    flags = meanings(b, start, end) if kind == WORD else 0
    c = load8(b + start) if kind == OP and end - start == 1 else 0
    if flags & (RESET | VERB):
        put(state, CUT, 0)
    elif cut == ALTERED:
        if c == 59:
            put(state, CUT, 0)
    elif kind == WORD or kind == QUOTED:
        if cut == SET_NAME and flags & ASSIGNS and depth:
            put(state, CUT, SET_VALUE)
            return
        if class_of(tokens, state, 1) != C_DOT:
            depth += 1
        put(state, CUT_DEPTH, depth)
        if depth > SETTING_NAMES or unwritable(b, start, end):
            put(state, CUT, 0)
    elif kind == OP and depth:
        if c == 61 and cut == SET_NAME:
            put(state, CUT, SET_VALUE)
        elif c == 40 and cut == RUN_NAME:
            put(state, CUT, RUN_VALUES)
            put(state, CUT_DEPTH, 1)
        elif c != 46 and c != 58:
            put(state, CUT, 0)
    elif kind != EXEC_OPEN and kind != EXEC_CLOSE:
        put(state, CUT, 0)


@kernel
def given(b: int, kind: int, start: int, end: int, e: int, d: int, out: int, tokens: int, state: int) -> bool:
    """Return whether this token was written as an argument: words and names are hidden, except function names."""
    if kind == OP:
        c = load8(b + start) if end - start == 1 else 0
        if c == 59:
            put(state, CUT, 0)
        elif cell(state, CUT) == RUN_VALUES and (c == 40 or c == 41):
            put(state, CUT_DEPTH, cell(state, CUT_DEPTH) + (1 if c == 40 else -1))
            if cell(state, CUT_DEPTH) == 0:
                put(state, CUT, 0)
        return False
    if kind == QUOTED:
        if load8(b + start) == 34:
            add_hidden(out, tokens, state)
        else:
            write_value(out, tokens, state)
        return True
    if kind != WORD:
        return False
    flags = meanings(b, start, end)
    if flags & (RESET | VERB):
        put(state, CUT, 0)
        return False
    if flags & (LITERAL | FIXED) or names_something(b, start, end, e, d, tokens, state):
        add_word(b, start, end, flags, out, tokens, state)
    elif class_of(tokens, state, 1) != C_VALUE:
        write_value(out, tokens, state)
    return True


@kernel
def names_something(b: int, start: int, end: int, e: int, d: int, tokens: int, state: int) -> bool:
    """Return whether a word among values is a function or the next setting."""
    if unwritable(b, start, end):
        return False
    p = skip_blanks(b, end, e, d)
    following = load8(b + p) if p < e else 0
    if following == 40:
        return True
    before = class_of(tokens, state, 1)
    return following == 61 and (before == C_COMMA or (before == C_VALUE and load8(b + start - 1) == 32))


@kernel
def still_cut(b: int, kind: int, start: int, end: int, e: int, d: int, out: int, tokens: int, state: int) -> bool:
    """Return whether this token belongs to the cut part; the first one writes a ``?``."""
    if cell(state, CUT) > CUT_WHOLE:
        if cell(state, CUT) == SET_VALUE or cell(state, CUT) == RUN_VALUES:
            return given(b, kind, start, end, e, d, out, tokens, state)
        wait(b, kind, start, end, tokens, state)
        return False
    loose = cell(state, CUT) == CUT_BOUNDED and cell(state, CUT_DEPTH) == 0
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
    if class_of(tokens, state, 1) != C_VALUE:
        add_byte(out, tokens, state, C_VALUE, 0, 63)
    return True


@kernel
def write_quoted(b: int, start: int, end: int, e: int, d: int, out: int, tokens: int, state: int) -> None:
    """A quoted name as it is, or ``"?"`` where a value stands in double quotes."""
    if unwritable(b, start, end):
        write_value(out, tokens, state)
        return
    odd = blank = False
    for i in range(start, end):
        odd = odd or ODD_IN_NAME[load8(b + i)] != 0
        blank = blank or load8(b + i) == 32
    put(state, FIRST, 0)
    doubtful = blank and DOUBTFUL[d] != 0
    if doubtful and (class_of(tokens, state, 1) == C_DOT or meant(tokens, state, 1) & NAME_AFTER):
        doubtful = False
    if load8(b + start) == 34 and (odd or doubtful or value_is_due(tokens, state)):
        dotted = False
        if not odd:
            p = skip_blanks(b, end, e, d)
            dotted = p < e and load8(b + p) == 46 and not (p + 1 < e and 48 <= load8(b + p + 1) <= 57)
        if not dotted:
            add_hidden(out, tokens, state)
            return
    at = begin(out, tokens, state, C_QUOTED, 0)
    for i in range(start, end):
        store8(out + at, load8(b + i))
        at += 1
    put(state, BYTES, at)


@kernel
def write_curly(b: int, start: int, end: int, out: int, tokens: int, state: int) -> None:
    """A text in typographic quotes: its quotes and a ``?``."""
    at = begin(out, tokens, state, C_QUOTED, 2)
    for k in range(3):
        store8(out + at + k, load8(b + start + k))
        store8(out + at + 4 + k, load8(b + end - 3 + k))
    store8(out + at + 3, 63)
    put(state, BYTES, at + 7)


@kernel
def write_token(b: int, kind: int, i: int, end: int, e: int, d: int, out: int, tokens: int, state: int) -> None:
    """Write one token of any kind."""
    if cell(state, CUT) and still_cut(b, kind, i, end, e, d, out, tokens, state):
        return
    if kind == WORD:
        write_word(b, i, end, out, tokens, state)
    elif kind == OP:
        write_operator(b, i, end, out, tokens, state)
    elif kind == QUOTED:
        write_quoted(b, i, end, e, d, out, tokens, state)
    elif kind == CURLY:
        write_curly(b, i, end, out, tokens, state)
    elif kind == EXEC_OPEN:
        at = begin(out, tokens, state, C_OP, EXEC_OPENS)
        store8(out + at, 47)
        store8(out + at + 1, 42)
        store8(out + at + 2, 33)
        put(state, BYTES, at + 3)
    elif kind == EXEC_CLOSE:
        at = begin(out, tokens, state, C_OP, EXEC_CLOSES)
        store8(out + at, 42)
        store8(out + at + 1, 47)
        put(state, BYTES, at + 2)
    elif kind != END:
        write_value(out, tokens, state)


@kernel
def write_all(b: int, i: int, e: int, d: int, out: int, room: int, tokens: int, most: int, state: int) -> None:
    """Write the tokens of ``b[i:e]`` to ``out`` while there is room.

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
                put(tokens, count, size << 20 | (flags & REMEMBERED) << 4 | C_WORD)
                size, count, before = at, count + 1, C_WORD
                if flags == 0:
                    put(state, FIRST, 0)
                else:
                    follow_word(flags, state)
                continue
            i = start
        put(state, BYTES, size)
        put(state, COUNT, count)
        if bits & 32 and not cell(state, CUT):
            write_operator(b, i, i + 1, out, tokens, state)
            i += 1
        else:
            i = skip_blanks(b, i, e, d)
            if i >= e:
                break
            kind, end = token(b, i, e, d)
            if kind != COMMENT:
                write_token(b, kind, i, end, e, d, out, tokens, state)
            i = end
        size, count = cell(state, BYTES), cell(state, COUNT)
        before = cell(tokens, count - 1) & 15 if count > 0 else C_LEFT
    put(state, BYTES, size)
    put(state, COUNT, count)
