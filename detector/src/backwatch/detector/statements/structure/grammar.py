"""Finds what no valid statement contains: values side by side, operators without operand, clauses out of order.

An app sends statements that its database accepts. Input that becomes syntax breaks the grammar at its edges, wherever
it does not fit exactly. The checks are a few necessary conditions of SQL that hold in all dialects, and no parser: each
one that fails counts.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.conditions import compares
from backwatch.detector.statements.structure.encoding import MAX_TOKENS
from backwatch.detector.statements.structure.vocabulary import (
    CLOSING,
    COMMA,
    OPENING,
    SEMICOLON,
    UNKNOWN_SYMBOL,
    VALUE,
    K,
    O,
    code_of_name,
    is_constant,
    is_keyword,
    is_name,
    is_operator,
)

MAX_DEPTH: Final = 32
KINDS: Final = (
    "query-after-value", "values-adjacent", "operand-missing", "clause-out-of-order", "comparison-chained",
    "condition-in-values", "set-operation-misplaced", "constant-row-appended", "call-compared-with-itself",
    "or-constant", "letter-compared",
)  # fmt: skip
"""What is counted, in the order of the result's cells."""
KIND_CELLS: Final = len(KINDS)
(
    QUERY_AFTER_VALUE, VALUES_ADJACENT, OPERAND_MISSING, CLAUSE_ORDER, CHAINED, IN_VALUES, MISPLACED_SET, CONSTANT_ROW,
    EQUAL_CALLS, OR_CONSTANT, LETTER,
) = range(KIND_CELLS)  # fmt: skip
_NO_FAULT: Final = -1

_SELECT, _FROM, _WHERE, _AND, _OR, _NOT, _ON = (K[w] for w in ("SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "ON"))
_GROUP, _ORDER, _LIMIT, _HAVING, _UNION = (K[w] for w in ("GROUP", "ORDER", "LIMIT", "HAVING", "UNION"))
_INTERSECT, _EXCEPT, _MINUS, _VALUES, _WITH = (K[w] for w in ("INTERSECT", "EXCEPT", "MINUS", "VALUES", "WITH"))
_IS: Final = K["IS"]
_INSERT, _UPDATE, _DELETE, _SET = (K[w] for w in ("INSERT", "UPDATE", "DELETE", "SET"))
_BETWEEN, _CASE, _END, _XOR = (K[w] for w in ("BETWEEN", "CASE", "END", "XOR"))
_OFFSET, _JOIN, _DROP, _CREATE, _EXISTS = (K[w] for w in ("OFFSET", "JOIN", "DROP", "CREATE", "EXISTS"))
_IN, _AS, _ALL, _DISTINCT, _REPLACE = (K[w] for w in ("IN", "AS", "ALL", "DISTINCT", "REPLACE"))
_EXEC, _DECLARE = K["EXEC"], K["DECLARE"]
_TABLE, _WAITFOR, _INTERVAL, _USING = K["TABLE"], K["WAITFOR"], K["INTERVAL"], K["USING"]
_BARS, _MINUS_SIGN, _PLUS_SIGN, _AT_SIGN, _TILDE = O["||"], O["-"], O["+"], O["@"], O["~"]
_ARROW: Final = O["->"]
_CODES_OF_LETTERS: Final = np.array([code_of_name(name) for name in ("ASCII", "ORD", "UNICODE")], np.uint16)
_PARTS_OF_TEXTS: Final = np.array(
    [*(code_of_name(name) for name in ("SUBSTR", "SUBSTRING", "MID")), K["LEFT"], K["RIGHT"]], np.uint16
)

IN_NOTHING, IN_LIST, IN_TABLES, IN_CONDITION, IN_ORDER, IN_OTHER, IN_VALUES_CLAUSE = range(7)
"""The clause of a query in which a token stands; the list is that of SELECT."""


@kernel
def _is_set(code: int) -> bool:
    return code == _UNION or code == _INTERSECT or code == _EXCEPT or code == _MINUS


@kernel
def _joins(code: int) -> bool:
    """Return whether a token needs an operand on both sides."""
    return code == _AND or code == _OR or code == _XOR or code == _BARS or (
        compares(code) and code != _IS and code != _IN and code != _BETWEEN
    )  # fmt: skip


@kernel
def _closes_clause(code: int) -> bool:
    """Return whether a token can only follow a complete expression; 0 stands for the end of the text."""
    return (
        code == 0 or code == CLOSING or code == COMMA or code == SEMICOLON or code == _FROM or code == _WHERE
        or code == _GROUP or code == _ORDER or code == _LIMIT or code == _HAVING or code == _AND or code == _OR
        or _is_set(code)
    )  # fmt: skip


@kernel
def _after_value(earlier: int, code: int, after: int, clause: int) -> int:
    """Return what is wrong with a token behind a value; ``earlier`` stands before the value."""
    if code == _SELECT or code == _INSERT or code == _DELETE or code == _UPDATE or code == _DROP or code == _CREATE:
        return QUERY_AFTER_VALUE
    if code == _WAITFOR or code == _EXEC or code == _DECLARE:
        return QUERY_AFTER_VALUE
    if clause != IN_CONDITION and clause != IN_VALUES_CLAUSE and clause != IN_ORDER:
        return _NO_FAULT
    if code == VALUE:  # the question mark is an operator of jsonb, too
        is_operand = is_name(earlier) or earlier == VALUE or earlier == _AT_SIGN or earlier == _ARROW
        return _NO_FAULT if is_operand else VALUES_ADJACENT
    if earlier == _INTERVAL:
        return _NO_FAULT
    if code == OPENING or code == _CASE or code == _EXISTS or code == UNKNOWN_SYMBOL or code == _VALUES:
        return VALUES_ADJACENT
    return VALUES_ADJACENT if is_name(code) and after != _FROM else _NO_FAULT


@kernel
def _neighbours(earlier: int, before: int, code: int, after: int, clause: int) -> int:
    """Return what is wrong with two neighbours."""
    if before == VALUE:
        fault = _after_value(earlier, code, after, clause)
        if fault != _NO_FAULT:
            return fault
    if before == CLOSING and clause == IN_CONDITION and (code == VALUE or code == _SELECT):
        return QUERY_AFTER_VALUE if code == _SELECT else VALUES_ADJACENT
    twice = _joins(code) and compares(before) and compares(code) and code != _TILDE
    if _joins(before) and earlier != _USING and (twice or _closes_clause(code)):
        return OPERAND_MISSING
    if (before == _WHERE or before == _HAVING or before == _ON or before == _NOT) and _closes_clause(code):
        return OPERAND_MISSING
    if before == COMMA and (code == CLOSING or code == COMMA or code == 0 or code == _FROM or code == _WHERE):
        return OPERAND_MISSING
    if before == OPENING and (code == COMMA or code == _AND or code == _OR or (_joins(code) and code != _TILDE)):
        return OPERAND_MISSING
    if before == _SELECT and (code == 0 or code == CLOSING or code == COMMA or _is_set(code)):
        return OPERAND_MISSING
    if before == _FROM and ((is_constant(code) and clause == IN_TABLES) or _closes_clause(code)):
        return OPERAND_MISSING
    return _NO_FAULT


@kernel
def _count_fault(fault: int, found: Any) -> None:
    if fault != _NO_FAULT:
        found[fault] += 1.0


@kernel
def _expression(codes: Any, i: int, count: int, clause: int, found: Any) -> None:
    """Count comparisons of comparisons, conditions among values, and constants as alternatives."""
    code = int(codes[i])
    if is_constant(code) and i > 1 and i + 1 < count and compares(codes[i - 1]) and compares(codes[i + 1]):
        first, second = codes[i - 1], codes[i + 1]
        if first != _BETWEEN and second != _IN and second != _BETWEEN and first != _IS and second != _IS:
            found[CHAINED] += is_name(codes[i - 2]) or is_constant(codes[i - 2]) or codes[i - 2] == CLOSING
    if clause == IN_VALUES_CLAUSE and (code == _AND or code == _OR or code == _XOR):
        found[IN_VALUES] += 1.0
    if code == _OR and i + 1 < count and is_constant(codes[i + 1]):
        after = int(codes[i + 2]) if i + 2 < count else 0
        found[OR_CONSTANT] += _closes_clause(after)


@kernel
def _clause_after(clause: int, code: int) -> int:
    """Return the clause that begins with a keyword."""
    if code == _SELECT:
        return IN_LIST
    if code == _FROM and clause != IN_NOTHING and clause != IN_OTHER:
        return IN_TABLES
    if code == _JOIN:
        return IN_TABLES
    if code == _WHERE or code == _HAVING or code == _ON:
        return IN_CONDITION
    if code == _ORDER or code == _GROUP or code == _LIMIT or code == _OFFSET:
        return IN_ORDER
    if code == _SET or code == _VALUES:
        return IN_VALUES_CLAUSE
    return clause


@kernel
def _constant_row(codes: Any, start: int, count: int) -> bool:
    """Return whether a SELECT list consists of constants and is no single value of a query's kind."""
    k = start
    seen = 0
    if k < count and (codes[k] == _ALL or codes[k] == _DISTINCT):
        k += 1
    while k < count and (codes[k] == OPENING or codes[k] == _SELECT or codes[k] == _ALL or codes[k] == _DISTINCT):
        k += 1
    while k < count:
        code = codes[k]
        if is_constant(code):
            seen += 1
        elif code != COMMA and code != _BARS and code != _MINUS_SIGN and code != _PLUS_SIGN:
            break
        k += 1
    return seen > 0 and (k >= count or not (is_name(codes[k]) or is_operator(codes[k]) or codes[k] == OPENING))


@kernel
def _equal_calls(codes: Any, count: int) -> int:
    """Count calls without arguments that are compared with themselves."""
    found = 0
    for i in range(count - 6):
        if is_name(codes[i]) and codes[i + 1] == OPENING and codes[i + 2] == CLOSING and compares(codes[i + 3]):
            found += codes[i + 4] == codes[i] and codes[i + 5] == OPENING and codes[i + 6] == CLOSING
    return found


@kernel
def _letters(codes: Any, count: int) -> int:
    """Count letters of sub-selects that are read as numbers: ``(SELECT ascii(substr(…`` and ``ascii(substr((SELECT …``.

    A dump without visible rows reads each letter of a text by comparing its code.
    """
    found = 0
    for i in range(2, count - 5):
        if codes[i + 1] == OPENING and codes[i + 3] == OPENING and np.any(codes[i] == _CODES_OF_LETTERS):
            selected = codes[i - 1] == _SELECT and codes[i - 2] == OPENING
            selects = codes[i + 4] == OPENING and codes[i + 5] == _SELECT
            found += int((selected or selects) and bool(np.any(codes[i + 2] == _PARTS_OF_TEXTS)))
    return found


@kernel
def _set_operation(codes: Any, i: int, count: int, depth: int, clause: Any, query: Any, found: Any) -> None:
    """Count a set operation that stands where none may, or appends a row of constants."""
    level = min(max(depth, 0), MAX_DEPTH)
    before, after = int(codes[i - 1]) if i > 0 else 0, int(codes[i + 1]) if i + 1 < count else 0
    verb = int(codes[0])
    plain = verb == _DELETE or verb == _UPDATE or (verb == _INSERT and clause[0] == IN_VALUES_CLAUSE)
    unqueried = depth > 0 and query[level] == 0
    misplaced = (depth == 0 and plain) or unqueried or (clause[level] == IN_NOTHING and before != CLOSING)
    found[MISPLACED_SET] += misplaced and after != CLOSING
    if _constant_row(codes, i + 1, count) and not _constant_row(codes, 0, count):
        found[CONSTANT_ROW] += 1.0
    if query[level] != 0 or depth == 0:
        query[level] = 2
    clause[level] = IN_NOTHING


@kernel
def closes_too_much(codes: Any, count: int) -> bool:
    """Return whether a bracket is closed that is not open. Text that ends too early leaves one open instead."""
    depth = 0
    for i in range(count):
        depth += int(codes[i] == OPENING) - int(codes[i] == CLOSING)
        if depth < 0:
            return True
    return False


@kernel
def is_query(code: int) -> bool:
    """Return whether a statement begins as one that reads or writes rows. Others have a syntax of their own."""
    return (
        code == _SELECT or code == _INSERT or code == _UPDATE or code == _DELETE or code == _WITH or code == _REPLACE
        or code == _VALUES or code == OPENING
    )  # fmt: skip


@kernel
def check_grammar(codes: Any, count: int, found: Any) -> None:
    """Count what no valid statement contains.

    Args:
        codes: uint16, token codes.
        count: The number of tokens.
        found: float64 [KIND_CELLS], written.
    """
    for k in range(KIND_CELLS):
        found[k] = 0.0
    if count == 0 or count >= MAX_TOKENS or not is_query(codes[0]):  # a longer text is cut in its middle
        return
    clause = np.zeros(MAX_DEPTH + 1, np.uint8)
    query = np.zeros(MAX_DEPTH + 1, np.uint8)  # 1: a query stands at this depth, 2: behind a set operation
    depth, between, cases = 0, 0, 0
    for i in range(count):
        code = int(codes[i])
        before = int(codes[i - 1]) if i > 0 else -1
        earlier = int(codes[i - 2]) if i > 1 else 0
        after = int(codes[i + 1]) if i + 1 < count else 0
        level = min(max(depth, 0), MAX_DEPTH)
        if before >= 0:
            _count_fault(_neighbours(earlier, before, code, after, clause[level]), found)
        _expression(codes, i, count, clause[level] if cases == 0 else IN_OTHER, found)
        if code == OPENING:
            inherits = after == OPENING or after == _SELECT or after == _WITH or after == _VALUES or after == _TABLE
            # The arguments of functions have their own syntax.
            inner = IN_OTHER if is_name(before) else int(clause[level])
            depth += 1
            level = min(max(depth, 0), MAX_DEPTH)
            clause[level] = IN_NOTHING if inherits else inner
            query[level] = inherits
        elif code == CLOSING:
            depth -= 1
        elif code == SEMICOLON:
            if depth == 0:
                clause[0], query[0] = IN_NOTHING, 0
        elif _is_set(code):
            _set_operation(codes, i, count, depth, clause, query, found)
        elif is_keyword(code):
            now = int(clause[level])
            cases += int(code == _CASE) - int(code == _END and cases > 0)
            if code == _BETWEEN:
                between += 1
            elif code == _AND and between > 0:
                between -= 1
            elif code == _AND or code == _OR:
                joined = query[level] == 2 and (now == IN_TABLES or now == IN_LIST)
                found[CLAUSE_ORDER] += cases == 0 and (joined or now == IN_ORDER)
            elif code == _SELECT and now != IN_NOTHING and depth == 0 and codes[0] == _SELECT:
                found[CLAUSE_ORDER] += before != OPENING and before != _AS and before != VALUE
            elif code == _WHERE and now == IN_ORDER:
                found[CLAUSE_ORDER] += 1.0
            if code == _SELECT and query[level] == 0:
                query[level] = 1
            clause[level] = _clause_after(now, code)
    if count > 1:
        _count_fault(_neighbours(0, int(codes[count - 1]), 0, 0, IN_OTHER), found)
    found[EQUAL_CALLS] = _equal_calls(codes, count)
    found[LETTER] = _letters(codes, count)
