"""Computes the features of a statement's difference from the nearest known one."""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.statements.structure.alignment import align
from backwatch.detector.statements.structure.conditions import compares, ends_condition, starts_condition
from backwatch.detector.statements.structure.features import (
    CELLS,
    COUNT,
    COUNTED,
    MAX_COUNTED,
    MAX_FEATURE,
    SLOT,
    WORDS_ONLY,
    F,
)
from backwatch.detector.statements.structure.known import EDGE_AFTER, EDGE_BEFORE, holds, mix3, role_hash
from backwatch.detector.statements.structure.roles import ALIAS, COLUMN, FUNCTION, TABLE
from backwatch.detector.statements.structure.vocabulary import (
    CLOSING,
    COMMA,
    DOT,
    LEFT_CURLY,
    OPENING,
    SEMICOLON,
    UNKNOWN_SYMBOL,
    VALUE,
    K,
    O,
    is_constant,
    is_keyword,
    is_name,
    is_operator,
)

MAX_WORDS: Final = 12
"""Added tokens that may be a text with a quote in it."""
_COUNTED: Final = np.array(COUNTED, np.int64)
_AND, _OR, _XOR, _NOT, _IS, _IN, _VALUES = K["AND"], K["OR"], K["XOR"], K["NOT"], K["IS"], K["IN"], K["VALUES"]
_SELECT, _FROM, _UNION, _INTERSECT, _EXCEPT = K["SELECT"], K["FROM"], K["UNION"], K["INTERSECT"], K["EXCEPT"]
_MINUS, _ALL, _DISTINCT, _WITH, _CASE, _BETWEEN = (
    K["MINUS"],
    K["ALL"],
    K["DISTINCT"],
    K["WITH"],
    K["CASE"],
    K["BETWEEN"],
)
_UPDATE, _DELETE, _INSERT, _DROP, _FOR, _WHERE = (
    K["UPDATE"], K["DELETE"], K["INSERT"], K["DROP"], K["FOR"], K["WHERE"],
)  # fmt: skip
_GROUP: Final = K["GROUP"]
_PERCENT, _DASH, _AT_SIGN = O["%"], O["-"], O["@"]
_ORDER, _BY, _LIMIT, _OFFSET, _ASC, _DESC, _AS = (
    K["ORDER"], K["BY"], K["LIMIT"], K["OFFSET"], K["ASC"], K["DESC"], K["AS"],
)  # fmt: skip
_BARS, _AMPERSANDS = O["||"], O["&&"]
_COMMENT_OPEN, _COMMENT_CLOSE, _BRACE = O["/*!"], O["*/"], LEFT_CURLY

(
    _AT, _REPLACED, _AFTER, _SET, _SUB, _WITH_F, _STACKED, _CASE_F, _OR_F, _OR_UNKNOWN, _AND_F, _AND_UNKNOWN,
    _CONDITION, _COMPARISON, _SELF, _COLUMN_VALUE, _TABLE_S, _TABLE_R, _FUNCTION_S, _FUNCTION_R, _NAME_S, _NAME_R,
    _TRIGRAMS_S, _TRIGRAMS_R, _SHARE, _TAIL_LOST, _REMOVED_CONDITION, _UNBALANCED, _ODD, _ORDER_ONLY, _LIST_ONLY,
    _NO_HUNK, _HUNKS, _ADDED, _REMOVED, _PREFIX, _SUFFIX_LOST, _VERB, _CONCATENATION, _FUNCTION_AT, _SUB_AT,
    _ALL_KNOWN_S, _ALL_KNOWN_R, _FROM_AT, _OFF, _ARITHMETIC, _IN_LIST, _REPEATED, _SLOT_CHANGED, _AFTER_UNKNOWN,
    _OR_FIRST, _WRITE, _SET_AFTER, _SUB_ORDER,
) = range(COUNT)  # fmt: skip


@inline
def _id(ids: Any, i: int, count: int) -> int:
    """Return the id of a token, or of the edge of the text."""
    if i < 0:
        return EDGE_BEFORE
    return int(ids[i]) if i < count else EDGE_AFTER


@inline
def _code(codes: Any, i: int, count: int) -> int:
    """Return the code of a token; 0 beyond the text."""
    return int(codes[i]) if 0 <= i < count else 0


@kernel
def _edges(known: Any, codes: Any, count: int, hunks: int, prefix: int, suffix: int, f: Any) -> None:
    """Features of where prefix and suffix end."""
    f[_HUNKS] = min(hunks, 4)
    f[_NO_HUNK] = hunks == 0
    f[_PREFIX] = prefix / count
    f[_VERB] = prefix == 0
    size = known.shape[0]
    last = size
    while last > 0 and known[last - 1] == SEMICOLON:
        last -= 1
    f[_SUFFIX_LOST] = prefix < last and suffix == 0
    if size > 0 and prefix > 0 and hunks > 0:
        replaces = prefix < size and known[prefix] == VALUE
        if replaces and _code(codes, prefix, count) != _DISTINCT:
            f[_REPLACED] = 1.0
        follows = codes[prefix - 1] == VALUE
        f[_AFTER] = follows
        f[_AT] = replaces or follows


@kernel
def _run_start(codes: Any, ids: Any, count: int, begin: int, end: int, site: Any) -> tuple[int, bool]:
    """Return where an added run really begins, and whether it stands at a slot.

    Where the same tokens stand on both sides, the run may as well begin at the earlier ones.
    """
    start = begin
    if start > 1 and codes[start - 1] == codes[end - 1] and (codes[start - 1] == _AND or codes[start - 1] == _OR):
        if codes[start - 2] == VALUE:
            start -= 1
    if start > 0 and codes[start - 1] == VALUE:
        return start, True
    if start > 1 and codes[start - 1] == CLOSING and codes[start - 2] == VALUE:  # IN(?) OR …, IN(?) UNION …
        code = codes[start]
        if code == _OR or code == _XOR or code == _BARS or code == _UNION or code == _EXCEPT or code == _INTERSECT:
            return start, True
    if begin > 1 and codes[begin] != VALUE and holds(site, mix3(ids[begin - 2], ids[begin - 1], VALUE)):
        return begin, True
    return begin, False


@kernel
def _runs(codes: Any, ids: Any, count: int, added: Any, site: Any, f: Any) -> int:
    """Features of where the added runs begin; return where the first one at a slot does, 0 if none."""
    at, off, first = 0.0, 0.0, 0
    i = 0
    while i < count:
        if not added[i]:
            i += 1
            continue
        begin = i
        while i < count and added[i]:
            i += 1
        start, is_slot = _run_start(codes, ids, count, begin, i, site)
        if not is_slot:
            off += 1.0
            continue
        at = 1.0
        code = codes[start]
        leads_or = code == _OR or code == _XOR or code == _BARS or (
            code == CLOSING and _code(codes, start + 1, count) == _OR
        )  # fmt: skip
        if leads_or and not holds(site, mix3(_id(ids, start - 2, count), ids[start - 1], ids[start])):
            f[_OR_FIRST] = 1.0
        if first == 0:
            first = start
            lead = start - 1 if codes[start - 1] == VALUE else start
            slot = mix3(_id(ids, lead - 2, count), _id(ids, lead - 1, count), 5) & np.uint64(0x7FFFFFFF)
            f[SLOT] = float(slot)
    f[_AT] = max(at, f[_AT] if off == 0.0 else 0.0)
    f[_OFF] = min(off, 2.0)
    return first


@kernel
def _column_of_slot(codes: Any, role: Any, first: int) -> int:
    """Return the code of the column whose value an added run follows or replaces; 0 if none."""
    k = first - 1
    while k > 0 and first - k < 8:
        if is_name(codes[k]) and role[k] != FUNCTION:
            return int(codes[k])
        k -= 1
    return 0


@kernel
def _trigrams(
    codes: Any, ids: Any, count: int, added: Any, hunks: int, site: Any, resource: Any, f: Any
) -> None:  # fmt: skip
    """Features of trigrams that the call site or the resource never showed."""
    unknown_site, unknown_resource = 0, 0
    if hunks > 0:
        for i in range(count + 1):
            before, last, this = _id(ids, i - 2, count), _id(ids, i - 1, count), _id(ids, i, count)
            value = mix3(before, last, this)
            if holds(site, value):
                continue
            unknown_site += 1
            unknown_resource += not holds(resource["trigrams"], value)
            if i < 2 or i >= count:
                continue
            previous = codes[i - 1]
            leads = is_operator(previous) or is_keyword(previous) or previous == OPENING
            if codes[i] != VALUE and leads and holds(site, mix3(before, last, VALUE)):
                f[_SLOT_CHANGED] += 1.0
            if previous == VALUE and codes[i] != SEMICOLON:
                f[_AFTER_UNKNOWN] += 1.0
    f[_TRIGRAMS_S] = np.log1p(unknown_site)
    f[_TRIGRAMS_R] = np.log1p(unknown_resource)
    f[_SHARE] = unknown_site / (count + 1)
    f[_ALL_KNOWN_S] = unknown_site == 0
    f[_ALL_KNOWN_R] = unknown_resource == 0


@kernel
def _is_odd(before: int, code: int, added: int) -> bool:
    """Return whether two neighbours hardly stand side by side in valid SQL."""
    return (
        (before == VALUE and (code == VALUE or is_name(code) or code == OPENING or code == DOT))
        or (before == CLOSING and code == VALUE)
        or (is_name(before) and code == VALUE and added != 0)
        or (before == COMMA and (code == CLOSING or code == COMMA))
        or code == _COMMENT_OPEN or code == _COMMENT_CLOSE or code == _BRACE
    )  # fmt: skip


@kernel
def _balance(codes: Any, count: int, added: Any, known: bool, f: Any) -> None:
    """Features of brackets, neighbours, and expressions within lists of values."""
    depth, lowest, in_list = 0, 0, 0
    for i in range(count):
        code = codes[i]
        before = _code(codes, i - 1, count)
        if code == OPENING:
            depth += 1
            if in_list == 0 and (before == _IN or before == _VALUES):
                in_list = depth
        elif code == CLOSING:
            if in_list == depth:
                in_list = 0
            depth -= 1
            lowest = min(lowest, depth)
        if i > 0 and (added[i] or added[i - 1]) and _is_odd(before, code, added[i]):
            f[_ODD] += 1.0
        listed = known and added[i] and in_list > 0 and depth >= in_list
        if listed and (is_name(code) or is_operator(code) or code == _SELECT):
            if not (code == _SELECT and _code(codes, i - 2, count) == _IN):
                f[_IN_LIST] += 1.0
    f[_UNBALANCED] = lowest < 0 or depth != 0


@kernel
def _writes(code: int) -> bool:
    return code == _UPDATE or code == _DELETE or code == _INSERT or code == _DROP


@kernel
def _keywords(
    known: Any, codes: Any, ids: Any, count: int, added: Any, prefix: int, site: Any, f: Any
) -> None:  # fmt: skip
    """Features of added keywords."""
    between, ordering, depth, order_depth = False, False, 0, 0
    reads_only = True
    for k in range(known.shape[0]):
        reads_only = reads_only and not (_writes(known[k]) and (k == 0 or known[k - 1] != _FOR))
    for i in range(count):
        code = int(codes[i])
        depth += int(code == OPENING) - int(code == CLOSING)
        if code == _ORDER:
            ordering, order_depth = True, depth
        elif code == _LIMIT or code == _OFFSET or code == _UNION or depth < order_depth:
            ordering = False
        was_between = between
        if code == _BETWEEN:
            between = True
        elif code == _AND:
            between = False
        if not added[i]:
            continue
        before = _code(codes, i - 1, count)
        unknown = not holds(site, mix3(_id(ids, i - 2, count), _id(ids, i - 1, count), ids[i]))
        if code == _UNION or code == _INTERSECT or code == _EXCEPT or code == _MINUS:
            f[_SET] += 1.0
            if (before == VALUE or (before == CLOSING and _code(codes, i - 2, count) == VALUE)) and unknown:
                f[_SET_AFTER] = 1.0
        elif code == _SELECT:
            behind_set = before == _UNION or before == _ALL or before == _DISTINCT or before == SEMICOLON
            if not behind_set and i > 0:
                f[_SUB] += 1.0
                if i > 1 and f[_AT] > 0 and i - prefix <= 3:
                    f[_SUB_AT] = 1.0
                f[_SUB_ORDER] = max(f[_SUB_ORDER], 1.0 if ordering else 0.0)
        elif _writes(code) and i > 0 and before != _FOR:
            if known.shape[0] > 0 and (reads_only or before == SEMICOLON):
                f[_WRITE] = 1.0
        elif code == _WITH:
            f[_WITH_F] = 1.0
        elif code == _CASE:
            f[_CASE_F] += 1.0
        elif code == _FROM:
            f[_FROM_AT] += f[_AT]
        elif code == _OR or code == _XOR:
            f[_OR_F] += 1.0
            f[_OR_UNKNOWN] += unknown
        elif code == _AND and not was_between:
            f[_AND_F] += 1.0
            f[_AND_UNKNOWN] += not holds(site, mix3(ids[i], _id(ids, i + 1, count), _id(ids, i + 2, count)))
        elif (code == _AMPERSANDS or code == _BARS) and (before == VALUE or i == prefix):
            f[_CONCATENATION] += 1.0
        if is_keyword(code) and before == SEMICOLON:
            f[_STACKED] += 1.0


@kernel
def _is_builders(codes: Any, i: int, count: int) -> bool:
    """Return whether a constant condition is the one that query builders begin with: ``WHERE 1 = 1 AND …``."""
    end = i + 1
    if compares(_code(codes, end, count)) and is_constant(_code(codes, end + 1, count)):
        end += 2
    code = _code(codes, end, count)
    return code == 0 or code == _AND or code == _ORDER or code == _GROUP or code == _LIMIT or code == SEMICOLON


@kernel
def _conditions(codes: Any, count: int, added: Any, f: Any) -> None:
    """Features of added conditions that depend on no row, or compare a column with itself."""
    between = False
    for i in range(count):
        code = int(codes[i])
        was_between = between
        if code == _BETWEEN:
            between = True
        elif code == _AND:
            between = False
        if not added[i]:
            continue
        before, after = _code(codes, i - 1, count), _code(codes, i + 1, count)
        if before == _WHERE and is_constant(code) and _is_builders(codes, i, count):
            continue
        alone = starts_condition(before) and ends_condition(after) and not (was_between and before == _AND)
        if is_constant(code):
            if alone and not (before == _NOT and _code(codes, i - 2, count) == _IS):
                f[_CONDITION] += 1.0
            k = i + 1
            if after == _NOT:
                k += 1
            if compares(_code(codes, k, count)) and not (is_operator(before) or before == CLOSING):
                k += 1
                if _code(codes, k, count) == _NOT:
                    k += 1
                if _code(codes, k, count) == OPENING:
                    k += 1
                if is_constant(_code(codes, k, count)):
                    f[_COMPARISON] += 1.0
            if is_operator(before) and _code(codes, i - 2, count) == VALUE and not compares(before):
                f[_ARITHMETIC] += 1.0
        elif is_name(code):
            if alone:
                f[_CONDITION] += 1.0
            if compares(after) and _code(codes, i + 2, count) == code and _code(codes, i + 3, count) != DOT:
                f[_SELF] += 1.0


@kernel
def _names(
    codes: Any, ids: Any, role: Any, count: int, added: Any, edges: tuple[int, int], filters: tuple[Any, Any], f: Any
) -> None:
    """Features of added names."""
    prefix, first = edges
    site, resource = filters
    column = _column_of_slot(codes, role, first) if first > 0 else 0
    for i in range(count):
        if not added[i] or not is_name(codes[i]):
            continue
        if column != 0 and i >= first and codes[i] == column:
            f[_REPEATED] += 1.0
        if f[_REPLACED] > 0 and i == prefix:
            if role[i] == FUNCTION:
                f[_FUNCTION_AT] = 1.0
            else:
                f[_COLUMN_VALUE] = 1.0
        value = role_hash(role[i], ids[i])
        if role[i] == ALIAS or holds(site, value):
            continue
        is_new = not holds(resource["names"], value)
        if role[i] == TABLE:
            f[_TABLE_S] += 1.0
            f[_TABLE_R] += is_new
        elif role[i] == FUNCTION:
            f[_FUNCTION_S] += 1.0
            f[_FUNCTION_R] += is_new
        elif role[i] == COLUMN:
            f[_NAME_S] += 1.0
            f[_NAME_R] += is_new


@kernel
def _extent(known: Any, codes: Any, count: int, added: Any, removed: Any, f: Any) -> None:
    """Features of how much was added and removed, and of which kind alone."""
    tail_only, list_only, behind_from = True, True, False
    words_only, has_word, has_value = True, False, False
    more, fewer, depth = 0, 0, 0
    for i in range(count):
        code = int(codes[i])
        depth += int(code == OPENING) - int(code == CLOSING)
        behind_from = behind_from or (code == _FROM and depth == 0)
        if not added[i]:
            continue
        more += 1
        plain = is_name(code) or code == COMMA or code == DOT
        ordering = code == _ORDER or code == _BY or code == _LIMIT or code == _OFFSET or code == _ASC or code == _DESC
        word = plain or code == VALUE or code == UNKNOWN_SYMBOL or code == _PERCENT or code == _DASH
        words_only = words_only and (word or code == _AT_SIGN)
        has_word = has_word or is_name(code) or code == _PERCENT
        has_value = has_value or code == VALUE
        tail_only = tail_only and (plain or ordering or code == VALUE)
        list_only = list_only and not behind_from and (plain or code == _AS)
    for i in range(known.shape[0]):
        if removed[i]:
            fewer += 1
            if known[i] == _WHERE or known[i] == _AND or compares(known[i]):
                f[_REMOVED_CONDITION] += 1.0
    if f[_SUFFIX_LOST] > 0 and fewer > 1:
        f[_TAIL_LOST] = 1.0
    f[_ADDED] = np.log1p(more)
    f[_REMOVED] = np.log1p(fewer)
    f[_ORDER_ONLY] = more > 0 and tail_only
    f[_LIST_ONLY] = more > 0 and list_only
    f[WORDS_ONLY] = words_only and (has_word or not has_value) and more <= MAX_WORDS


@kernel
def describe(
    known: Any,
    statement: tuple[Any, Any, Any, int],
    marks: tuple[Any, Any],
    filters: tuple[Any, Any],
    f: Any,
) -> None:
    """Fill ``f`` with what distinguishes a statement from the known one.

    Args:
        known: uint16, the token codes of the nearest known statement; may be empty.
        statement: Codes, ids, roles and number of the new one's tokens.
        marks: uint8 [MAX_TOKENS] twice, work space: added and removed tokens.
        filters: What the call site knows (a filter), and the resource's row.
        f: float64 [CELLS], written: ``FEATURES``, then the slot.
    """
    codes, ids, role, count = statement
    added, removed = marks
    site, resource = filters
    for k in range(CELLS):
        f[k] = 0.0
    if count == 0:
        return
    hunks, prefix, suffix = align(known, codes, count, added, removed)
    _edges(known, codes, count, hunks, prefix, suffix, f)
    has_known = known.shape[0] > 0
    first = _runs(codes, ids, count, added, site, f) if has_known and hunks > 0 else 0
    _trigrams(codes, ids, count, added, hunks, site, resource, f)
    _balance(codes, count, added, has_known, f)
    _keywords(known, codes, ids, count, added, prefix, site, f)
    _conditions(codes, count, added, f)
    _names(codes, ids, role, count, added, (prefix, first), filters, f)
    _extent(known, codes, count, added, removed, f)
    for k in range(COUNT):
        f[k] = min(f[k], MAX_FEATURE)
    for k in _COUNTED:
        f[k] = min(f[k], MAX_COUNTED)
