"""Finds the next token of a buffer, kind for kind and byte for byte as ``statements/tokens.py`` does."""

from backwatch.collector.statements import spec
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.memory import load8
from backwatch.detector.statements.letters import (
    ALTERNATIVE_QUOTED,
    AT_AT,
    BACKSLASH,
    CLASSES,
    DASH_BLANK,
    DOLLAR_QUOTED,
    DOUBLE_STRING,
    EXECUTABLE,
    FEATURES,
    HASH_COMMENT,
    HASH_WORD,
    NESTED,
    RETURN_ENDS,
    byte_at,
    digits_end,
    starts_word,
    word_end,
)
from backwatch.detector.statements.literals import (
    alternative_delimiter,
    alternative_end,
    curly_end,
    dollar_end,
    number_end,
    param_end,
    prefixed_end,
    quoted_end,
    string_end,
)

STRING, QUOTED, EXEC_OPEN, EXEC_CLOSE, COMMENT, CURLY, WORD = (
    spec.STRING, spec.QUOTED, spec.EXEC_OPEN, spec.EXEC_CLOSE, spec.COMMENT, spec.CURLY, spec.WORD,
)  # fmt: skip
NUMBER, PARAM, UNENDED, OP, END = spec.NUMBER, spec.PARAM, spec.UNENDED, spec.OP, spec.END


@kernel
def _line_end(b: int, i: int, e: int, d: int) -> int:
    while i < e and load8(b + i) != 10 and not (load8(b + i) == 13 and FEATURES[d, RETURN_ENDS]):
        i += 1
    return i


@kernel
def _block_end(b: int, i: int, e: int, d: int) -> int:
    """After the end of the comment whose inside starts at ``i``."""
    depth = 1
    while i < e:
        if load8(b + i) == 42 and i + 1 < e and load8(b + i + 1) == 47:
            depth -= 1
            i += 2
            if depth == 0:
                return i
        elif FEATURES[d, NESTED] and load8(b + i) == 47 and i + 1 < e and load8(b + i + 1) == 42:
            depth += 1
            i += 2
        else:
            i += 1
    return e


@kernel
def _wordlike(b: int, i: int, e: int, d: int) -> tuple[int, int]:
    """Return kind and end of a token that starts with a letter or a byte above 127."""
    if load8(b + i) >= 128:
        end = curly_end(b, i, e)
        if end > 0:
            return CURLY, end
    else:
        following = byte_at(b, i + 1, e)
        if following == 39 or following == 38:
            end = prefixed_end(b, i, e, d)
            if end > 0:
                return STRING, end
        if FEATURES[d, ALTERNATIVE_QUOTED]:
            at = alternative_delimiter(b, i, e)
            if at > 0:
                end = alternative_end(b, at, e)
                return (STRING, end) if end > 0 else (UNENDED, e)
    return WORD, word_end(b, i + 1, e, d, 0)


@kernel
def _commentlike(b: int, i: int, e: int, d: int) -> tuple[int, int]:
    """Return kind and end of a token that starts with one of ``/ * - #``; kind 0 if it is only that character."""
    c, following = load8(b + i), byte_at(b, i + 1, e)
    if c == 47 and following == 42:
        if FEATURES[d, EXECUTABLE]:
            at = i + 3 if byte_at(b, i + 2, e) == 77 else i + 2
            if byte_at(b, at, e) == 33:
                end = digits_end(b, at + 1, e)
                return EXEC_OPEN, (min(end, at + 7) if end - at > 5 else at + 1)
        return COMMENT, _block_end(b, i + 2, e, d)
    if c == 42 and following == 47 and FEATURES[d, EXECUTABLE]:
        return EXEC_CLOSE, i + 2
    if c == 45 and following == 45:
        if not FEATURES[d, DASH_BLANK] or i + 2 >= e or CLASSES[d, load8(b + i + 2)] & 1:
            return COMMENT, _line_end(b, i + 2, e, d)
    elif c == 35:
        if FEATURES[d, HASH_COMMENT]:
            return COMMENT, _line_end(b, i + 1, e, d)
        at = i + 2 if following == 35 else i + 1
        if FEATURES[d, HASH_WORD] and starts_word(b, at, e, d):
            return WORD, word_end(b, at, e, d, 0)
    return 0, i


@kernel
def token(b: int, i: int, e: int, d: int) -> tuple[int, int]:
    """Return kind and end of the token that starts at ``i``, which is below ``e`` and no blank."""
    c = load8(b + i)
    if CLASSES[d, c] & 2:
        return _wordlike(b, i, e, d)
    if c == 39:
        end = string_end(b, i + 1, e, 39, FEATURES[d, BACKSLASH])
        return (STRING, end) if end > 0 else (UNENDED, e)
    if c == 34 and FEATURES[d, DOUBLE_STRING]:
        end = string_end(b, i + 1, e, 34, FEATURES[d, BACKSLASH])
        return (STRING, end) if end > 0 else (UNENDED, e)
    if 48 <= c <= 57 or (c == 46 and 48 <= byte_at(b, i + 1, e) <= 57):
        return NUMBER, number_end(b, i, e)
    if c == 34 or c == 96 or c == 91:
        end = quoted_end(b, i, e, d)
        if end != 0:
            return (QUOTED, end) if end > 0 else (UNENDED, e)
        return OP, i + 1
    if c == 47 or c == 42 or c == 45 or c == 35:
        kind, end = _commentlike(b, i, e, d)
        return (kind, end) if kind else (OP, i + 1)
    if c == 64 and FEATURES[d, AT_AT] and byte_at(b, i + 1, e) == 64 and starts_word(b, i + 2, e, d):
        return WORD, word_end(b, i + 2, e, d, 0)
    if c == 63 or c == 37 or c == 36 or c == 58 or c == 64:
        end = param_end(b, i, e, d)
        if end > 0:
            return PARAM, end
        if c == 36 and FEATURES[d, DOLLAR_QUOTED]:
            opened = word_end(b, i + 1, e, d, 1) if starts_word(b, i + 1, e, d) else i + 1
            if byte_at(b, opened, e) == 36:
                end = dollar_end(b, i, opened + 1, e)
                return (STRING, end) if end > 0 else (UNENDED, e)
        if c == 58 and byte_at(b, i + 1, e) == 58:
            return OP, i + 2
    return OP, i + 1
