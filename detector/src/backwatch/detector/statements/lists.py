"""Operators and brackets of a canonical text, and lists of literals, which fold where they close."""

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8, store8
from backwatch.detector.statements.tokenizer_state import (
    ADMIN,
    ARRAY,
    BYTES,
    C_CAST,
    C_COMMA,
    C_LEFT,
    C_LEFT_SQUARE,
    C_OP,
    C_QUOTED,
    C_RIGHT,
    C_RIGHT_SQUARE,
    C_SEMICOLON,
    C_VALUE,
    C_WORD,
    CAST_SIGN,
    CLASS_OF_OP,
    COUNT,
    DEPTH,
    FIRST,
    HIDDEN,
    KEYED,
    LIST,
    LITERAL,
    NESTING,
    OVER,
    ROW_FIRST,
    ROW_LAST,
    STACK,
    VALUE_AFTER,
    add_byte,
    aux_of,
    begin,
    cell,
    class_of,
    drop,
    meant,
    put,
)


@inline
def is_value(mark: int) -> bool:
    """Return whether a token counts as a value in lists."""
    kind, aux = mark & 15, mark >> 4 & 0xFFFF
    return kind == C_VALUE or (kind == C_QUOTED and aux == HIDDEN) or (kind == C_WORD and aux & LITERAL != 0)


@kernel
def value_is_due(tokens: int, state: int) -> bool:
    """Return whether a double-quoted text at this place is a value."""
    count = cell(state, COUNT)
    if count == 0:
        return False
    before, aux = class_of(tokens, state, 1), aux_of(tokens, state, 1)
    if before == C_OP:
        return aux == 60 or aux == 61 or aux == 62 or aux == 124
    if before == C_WORD:
        return aux & VALUE_AFTER != 0
    if before != C_LEFT and before != C_COMMA and before != C_LEFT_SQUARE:
        return False
    if cell(state, DEPTH) == 0 or cell(state, OVER) or not cell(state, STACK + cell(state, DEPTH) - 1) & 1:
        return False
    return before != C_COMMA or is_value(cell(tokens, count - 2)) or cell(tokens, count - 2) & 15 == C_RIGHT


@kernel
def opens_a_list(tokens: int, state: int, kind: int) -> bool:
    """Return whether the next bracket opens a list of values."""
    count = cell(state, COUNT)
    if count == 0 or cell(state, OVER):
        return False
    if kind == C_LEFT_SQUARE:
        return meant(tokens, state, 1) & ARRAY != 0
    before = class_of(tokens, state, 1)
    if before == C_COMMA:
        return cell(state, ROW_LAST) == count - 2 and count > 2
    if before == C_LEFT:
        return cell(state, DEPTH) > 0 and cell(state, STACK + cell(state, DEPTH) - 1) == ((count - 1) << 1 | 1)
    return meant(tokens, state, 1) & LIST != 0


@kernel
def _fold_values(start: int, out: int, tokens: int, state: int) -> None:
    """Fold the list that was opened at token ``start`` into one value, if it holds values and a comma between each."""
    count = cell(state, COUNT)
    hidden = False
    if (count - start) & 1:
        return
    for at in range(start + 1, count):
        mark = cell(tokens, at)
        if (at - start) & 1:
            if not is_value(mark):
                return
            hidden = hidden or mark & 15 == C_QUOTED
        elif mark & 15 != C_COMMA:
            return
    drop(tokens, state, start + 1)
    if hidden:
        at = begin(out, tokens, state, C_QUOTED, HIDDEN)
        store8(out + at, 34)
        store8(out + at + 1, 63)
        store8(out + at + 2, 34)
        put(state, BYTES, at + 3)
    else:
        add_byte(out, tokens, state, C_VALUE, 0, 63)


@kernel
def _same(first: int, last: int, start: int, out: int, tokens: int, state: int) -> bool:
    """Return whether the list written from token ``start`` on repeats the one at ``first`` to ``last``."""
    if last - first != cell(state, COUNT) - 1 - start:
        return False
    a, stop = cell(tokens, first + 1) >> 20, cell(tokens, last) >> 20
    b = cell(tokens, start + 1) >> 20
    if stop - a != (cell(tokens, cell(state, COUNT) - 1) >> 20) - b:
        return False
    while a < stop:
        if load8(out + a) != load8(out + b):
            return False
        a += 1
        b += 1
    return True


@kernel
def close(c: int, kind: int, out: int, tokens: int, state: int) -> None:
    """Write a closing bracket; fold the list that it ends, and drop the list if it repeats the one before."""
    opener = C_LEFT if kind == C_RIGHT else C_LEFT_SQUARE
    if cell(state, OVER):
        put(state, OVER, cell(state, OVER) - 1)
        add_byte(out, tokens, state, kind, 0, c)
        return
    entry = cell(state, STACK + cell(state, DEPTH) - 1) if cell(state, DEPTH) > 0 else 0
    start = entry >> 1
    if cell(state, DEPTH) == 0 or cell(tokens, start) & 15 != opener:
        add_byte(out, tokens, state, kind, 0, c)
        return
    put(state, DEPTH, cell(state, DEPTH) - 1)
    if not entry & 1:
        add_byte(out, tokens, state, kind, 0, c)
        return
    _fold_values(start, out, tokens, state)
    add_byte(out, tokens, state, kind, 0, c)
    first, last = cell(state, ROW_FIRST), cell(state, ROW_LAST)
    follows = start >= 2 and cell(tokens, start - 1) & 15 == C_COMMA and last == start - 2
    if follows and _same(first, last, start, out, tokens, state):
        drop(tokens, state, start - 1)
    else:
        put(state, ROW_FIRST, start)
        put(state, ROW_LAST, cell(state, COUNT) - 1)


@kernel
def write_operator(b: int, start: int, end: int, out: int, tokens: int, state: int) -> None:
    """One operator, comma or bracket; lists are folded where they close."""
    if end - start == 2:
        at = begin(out, tokens, state, C_CAST, CAST_SIGN)
        store8(out + at, 58)
        store8(out + at + 1, 58)
        put(state, BYTES, at + 2)
        return
    c = load8(b + start)
    kind = int(CLASS_OF_OP[c])
    if kind in (C_LEFT, C_LEFT_SQUARE):
        listed = opens_a_list(tokens, state, kind)
        add_byte(out, tokens, state, kind, 0, c)
        if cell(state, DEPTH) >= NESTING:
            put(state, OVER, cell(state, OVER) + 1)
        else:
            put(state, STACK + cell(state, DEPTH), (cell(state, COUNT) - 1) << 1 | (1 if listed else 0))
            put(state, DEPTH, cell(state, DEPTH) + 1)
        return
    if kind == C_SEMICOLON:
        put(state, ADMIN, 0)
        put(state, KEYED, 0)
        put(state, FIRST, 1)
    elif kind == C_OP:
        put(state, FIRST, 0)
    elif kind in (C_RIGHT, C_RIGHT_SQUARE):
        close(c, kind, out, tokens, state)
        return
    add_byte(out, tokens, state, kind, c, c)
