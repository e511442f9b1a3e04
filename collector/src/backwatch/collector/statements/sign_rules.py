"""What the signs ask of a statement's shape, one question per function. Each is linear over all its calls.

"Literal" is an operand made of literals only; parameters do not count, because they cannot be injected.
"""

from typing import Final

from backwatch.collector.statements import spec
from backwatch.collector.statements.shapes import LITERALS, Shape
from backwatch.collector.statements.sign_words import (
    AFTER_STRING,
    ALTERNATIVES,
    CHARACTERS,
    CODES,
    CONDITION_ENDS,
    CONSTANT_ENDS,
    HARMLESS_PAIRS,
    LAST_ID,
    LIST_ENDS,
    NUMBER_TYPES,
    PARTS,
    RUN_ON,
    SIGN_OF_CALL,
    SIGN_OF_WORD,
    UNION_FILLERS,
    VERBS,
)

_OPERATORS: Final = frozenset("=<>!-#@|&~*/+^%:?")
_ARITHMETIC: Final = frozenset("-*/^%&")
_FILLING: Final = frozenset({"0", "NULL"})
"""Columns that only fill up the count; a string in a UNION usually separates its parts."""
_COLUMNS: Final = 2_048
_DEPTH: Final = 12
"""Nested brackets inside a CAST that are followed; an error-based injection needs no more."""
"""Words of a select list that are read."""


def tautology(shape: Shape, at: int) -> bool:
    """Return whether the condition after the connective at ``at`` is constant: ``OR 1=1``, ``OR a=a``."""
    words, connective = shape.words, shape.words[at]
    start = at + 1
    left = shape.literal(start)
    if not left:
        return connective in ALTERNATIVES and _compares_itself(shape, start)
    operator = shape.find_comparison(left)
    if not operator:
        ends = words[left] in CONDITION_ENDS and words[left - 1] not in ("NULL", "FALSE")
        return ends and connective in ALTERNATIVES
    right = shape.literal(operator)
    if not right:
        return False
    simple = right - operator == 1 and operator - left < 3
    pair = (shape.raw(left - 1), shape.raw(right - 1)) if simple else ("", "")
    if pair not in HARMLESS_PAIRS:
        return True
    return connective in ALTERNATIVES and pair[0] == pair[1] and "!" not in words[left:operator]


def _compares_itself(shape: Shape, start: int) -> bool:
    words = shape.words
    while words[start] == "(":
        start += 1
    left = shape.path(start)
    if not left or words[left] != "=":
        return False
    right = shape.path(left + 1)
    if not right or right - left - 1 != left - start or words[right] not in CONDITION_ENDS:
        return False
    return [shape.raw(at) for at in range(start, left)] == [shape.raw(at) for at in range(left + 1, right)]


def is_chained_condition(shape: Shape, at: int) -> bool:
    """Return whether comparisons are chained (``x = 'a' = 'b'``, ``x = ''-''``), as after an injected quote."""
    words = shape.words
    if words[at] != "=" and words[at - 1] in _OPERATORS:
        return False
    end = shape.literal(at + 1)
    if not end:
        return False
    inside = words[at + 1 : end]
    if "'" in inside and not _ARITHMETIC.isdisjoint(inside[1:]):
        return True
    operator = shape.find_comparison(end)
    return bool(operator and shape.literal(operator))


def union(shape: Shape, at: int) -> bool:
    """Return whether the SELECT after the UNION at ``at`` is padded to fit another statement's columns."""
    words = shape.words
    start = at + 1
    while words[start] in UNION_FILLERS:
        start += 1
    if words[start] not in ("SELECT", "VALUES") or {"FROM", "WHERE", "VALUES", "SET"}.isdisjoint(words[:at]):
        return False
    columns, constants, first, end = _columns(words, start + 1)
    own = _columns(words, words.index("SELECT") + 1)[1] if "SELECT" in words[:at] else 0
    if words[end] != "FROM" or (constants * 2 >= columns and constants > own):
        return True
    if any(_looks_inside(word) for word in words[start : end + 8]) and not _asks_itself(words, at):
        return True
    after_literal = words[at - 1] in LITERALS and words[at - 2] in ("-", "=", "(", ",")
    return after_literal and (words[at - 2] == "-" or first or "(" in words[at + 1 : start])


def _asks_itself(words: list[str], at: int) -> bool:
    """Return whether the part before the UNION at ``at``, and before any condition, reads the catalogue."""
    until = words.index("WHERE") if "WHERE" in words[:at] else at
    return any(_looks_inside(word) for word in words[:until])


def _looks_inside(word: str) -> bool:
    return SIGN_OF_WORD.get(word) in ("catalogue", "version-probe") or SIGN_OF_CALL.get(word) == "version-probe"


def _columns(words: list[str], start: int) -> tuple[int, int, bool, int]:
    """Return the columns of a select list, how many are filling, whether the first one is, and the list's end."""
    end, depth, columns, constants = start, 0, 1, 0
    due, first = True, False
    for end in range(start, min(start + _COLUMNS, len(words))):
        word = words[end]
        if not word or (not depth and word in LIST_ENDS):
            break
        depth += (word == "(") - (word == ")")
        if not depth and word == ",":
            columns, due = columns + 1, True
        elif due and word not in ("ALL", "DISTINCT", "-"):
            constant = word in _FILLING and words[end + 1] in CONSTANT_ENDS
            constants += constant
            first = first or (constant and columns == 1)
            due = False
    return columns, constants, first, end


def is_stacked_statement(shape: Shape, at: int) -> bool:
    """Return whether a statement of another kind than the first begins after the semicolon at ``at``."""
    words = shape.words
    while words[at] == ";":
        at += 1
    first = shape.verb
    if not words[at] or words[first] not in VERBS or words[at : at + 3] == words[first : first + 3]:
        return False
    return not (words[at] == "SELECT" and _asks_for_id(words, at))


def _asks_for_id(words: list[str], at: int) -> bool:
    return any(word in LAST_ID for word in words[at : at + 16])


def run_on(shape: Shape, at: int) -> bool:
    """Return whether a statement begins right after the literal at ``at``: ``WHERE id = 1 SELECT …``."""
    words = shape.words
    following = words[at + 1]
    if following == "(":
        return words[at + 2] == "SELECT" and words[at - 1] in ("=", "<", ">", "-")
    if following not in RUN_ON or words[shape.verb] not in VERBS or words[at - 1] in ("TOP", "LIMIT"):
        return False
    return not (following == "SELECT" and _asks_for_id(words, at + 1))


def constant(shape: Shape, at: int) -> bool:
    """Return whether the condition after WHEN or ``IF(`` is constant."""
    left = shape.literal(at + 1)
    operator = shape.find_comparison(left) if left else 0
    return bool(operator and shape.literal(operator))


def asks(shape: Shape, at: int) -> bool:
    """Return whether a condition extracts one bit per call: ``AND 7=(SELECT …``, ``AND (SELECT SUBSTRING(…``."""
    words = shape.words
    if words[at + 1 : at + 3] == ["(", "SELECT"]:
        return words[at + 3] in PARTS or words[at + 3] in CODES
    left = shape.literal(at + 1)
    operator = shape.find_comparison(left) if left else 0
    if not operator or words[left] not in ("=", "<", ">", "LIKE"):
        return False
    while words[operator] == "(":
        operator += 1
    return words[operator] == "SELECT" and words[operator - 1] == "("


def letters(shape: Shape, at: int) -> bool:
    """Return whether a value is read letter by letter: ``ASCII(SUBSTRING(…``, ``SUBSTRING((SELECT …``."""
    words, inner = shape.words, at + 2
    if words[at] in CODES:
        if words[inner] in ("LOWER", "UPPER") and words[inner + 1] == "(":
            inner += 2
        return words[inner] in PARTS and words[inner + 1] == "("
    return words[inner : inner + 2] == ["(", "SELECT"] or _looks_inside(words[inner])


def fails(shape: Shape, at: int) -> bool:
    """Return whether a function is called so that its error message contains the data."""
    words = shape.words
    word, first = words[at], words[at + 2]
    if word in ("FLOOR", "EXP"):
        return first in ("RAND", "~")
    if word == "CONVERT":
        return first == "INT" and words[at + 4] in ("(", "CHAR", "DB_NAME", "@@VERSION", "USER")
    if word == "CAST":
        return first in ("(", "CHR", "CHAR", "'") and _casts_select_to_number(words, at + 1)
    return first == "(" and words[at + 3] == "SELECT"


def _casts_select_to_number(words: list[str], at: int) -> bool:
    depth, select = 0, False
    for end in range(at, min(at + 512, len(words))):
        word = words[end]
        depth += (word == "(") - (word == ")")
        select = select or word == "SELECT"
        if depth > _DEPTH:
            break
        if not depth:
            return select and words[end - 2] == "AS" and words[end - 1] in NUMBER_TYPES
    return False


def encoded_number(shape: Shape, at: int) -> bool:
    """Return whether a number encodes a text: ``0x61646d696e``."""
    raw, words = shape.raw(at), shape.words
    if raw[:2] not in ("0x", "0X") or len(raw) % 2 or not printable(raw[2:]):
        return False
    argument = words[at - 1] in ("(", ",") and words[at + 1] in (",", ")")
    return len(raw) >= 10 or (argument and any("CONCAT" in word for word in words[max(0, at - 24) : at]))


def printable(digits: str) -> bool:
    """Return whether hexadecimal digits spell readable ASCII."""
    try:
        return bool(digits) and all(32 <= code < 127 for code in bytes.fromhex(digits[:4096]))
    except ValueError:
        return False


def encoded_call(shape: Shape, at: int) -> bool:
    """Return whether a call encodes a text: ``CHAR(83,69,76)``, ``CHR(83)||CHR(69)``."""
    words = shape.words
    if words[at + 1 : at + 3] != ["(", "0"]:
        return False
    if words[at + 3 : at + 5] == [",", "0"]:
        return True
    after = words[at + 4 : at + 7]
    return words[at + 3] == ")" and after[0] in ("+", "|") and not CHARACTERS.isdisjoint(after)


def is_mangled(shape: Shape, at: int) -> bool:
    """Return whether text follows the literal at ``at`` without a blank, as after an injected quote."""
    if at + 1 >= len(shape.tokens) or shape.words[at + 1] in AFTER_STRING:
        return False
    kind, start, _ = shape.tokens[at + 1]
    touching = start == shape.tokens[at][2]
    return touching and (kind == spec.QUOTED or (kind == spec.WORD and shape.tokens[at][0] == spec.STRING))
