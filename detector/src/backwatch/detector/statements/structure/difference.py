"""Computes the features of a statement's difference from the nearest known one."""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.added_conditions import describe_conditions
from backwatch.detector.statements.structure.alignment import align
from backwatch.detector.statements.structure.conditions import compares
from backwatch.detector.statements.structure.encoding import MAX_TOKENS
from backwatch.detector.statements.structure.features import (
    COUNT,
    COUNTED,
    FEATURE_CELLS,
    MAX_COUNTED,
    MAX_FEATURE,
    ONLY_ITEMS,
    WORDS_ONLY,
    F,
)
from backwatch.detector.statements.structure.known import holds, mix3, role_hash
from backwatch.detector.statements.structure.positions import code_at, id_at
from backwatch.detector.statements.structure.roles import ALIAS, COLUMN, FUNCTION, TABLE
from backwatch.detector.statements.structure.slots import column_of_slot, describe_edges, describe_runs
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
    is_keyword,
    is_name,
    is_operator,
)

MAX_WORDS: Final = 24
"""Added tokens that may be a text with a quote in it."""
MAX_WILDCARDS: Final = 2
"""Added tokens that may be what is left behind a quote at the end of a pattern, as in ``LIKE '%dogs'%'``."""
_COUNTED: Final = np.array(COUNTED, np.int64)
_AND, _OR, _XOR, _IN, _VALUES = K["AND"], K["OR"], K["XOR"], K["IN"], K["VALUES"]
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
_PERCENT, _DASH, _AT_SIGN = O["%"], O["-"], O["@"]
_ORDER, _BY, _LIMIT, _OFFSET, _ASC, _DESC, _AS = (
    K["ORDER"], K["BY"], K["LIMIT"], K["OFFSET"], K["ASC"], K["DESC"], K["AS"],
)  # fmt: skip
_GROUP, _HAVING, _INTO = K["GROUP"], K["HAVING"], K["INTO"]
_BARS, _AMPERSANDS = O["||"], O["&&"]
_COMMENT_OPEN, _COMMENT_CLOSE, _BRACE = O["/*!"], O["*/"], LEFT_CURLY

_AT: Final = F["at-slot"]
_REPLACED: Final = F["slot-replaced"]
_SET: Final = F["set-operation"]
_SUB: Final = F["sub-select"]
_WITH_F: Final = F["with"]
_STACKED: Final = F["stacked"]
_CASE_F: Final = F["case"]
_OR_F: Final = F["or-added"]
_OR_UNKNOWN: Final = F["or-unknown"]
_AND_F: Final = F["and-added"]
_AND_UNKNOWN: Final = F["and-unknown"]
_COLUMN_VALUE: Final = F["column-for-value"]
_TABLE_S: Final = F["new-table-site"]
_TABLE_R: Final = F["new-table-resource"]
_FUNCTION_S: Final = F["new-function-site"]
_FUNCTION_R: Final = F["new-function-resource"]
_NAME_S: Final = F["new-name-site"]
_NAME_R: Final = F["new-name-resource"]
_TRIGRAMS_S: Final = F["trigrams-site"]
_TRIGRAMS_R: Final = F["trigrams-resource"]
_SHARE: Final = F["share-unknown"]
_TAIL_LOST: Final = F["tail-lost"]
_REMOVED_CONDITION: Final = F["condition-removed"]
_UNBALANCED: Final = F["unbalanced"]
_ODD: Final = F["odd-adjacency"]
_ORDER_ONLY: Final = F["order-limit-only"]
_LIST_ONLY: Final = F["list-column-only"]
_ADDED: Final = F["added"]
_REMOVED: Final = F["removed"]
_SUFFIX_LOST: Final = F["suffix-lost"]
_CONCATENATION: Final = F["concatenation"]
_FUNCTION_AT: Final = F["function-at-slot"]
_SUB_AT: Final = F["sub-select-at-slot"]
_ALL_KNOWN_S: Final = F["all-known-site"]
_ALL_KNOWN_R: Final = F["all-known-resource"]
_FROM_AT: Final = F["from-at-slot"]
_IN_LIST: Final = F["expression-in-list"]
_REPEATED: Final = F["column-repeated"]
_SLOT_CHANGED: Final = F["slot-changed"]
_AFTER_UNKNOWN: Final = F["after-slot-unknown"]
_WRITE: Final = F["write-added"]
_SET_AFTER: Final = F["set-operation-after-slot"]
_SUB_ORDER: Final = F["sub-select-in-order"]


@kernel
def _trigrams(codes: Any, ids: Any, count: int, hunks: int, site: Any, resource: Any, f: Any) -> None:
    """Features of trigrams that the call site or the resource never showed."""
    unknown_site, unknown_resource = 0, 0
    if hunks > 0:
        for i in range(count + 1):
            before, last, this = id_at(ids, i - 2, count), id_at(ids, i - 1, count), id_at(ids, i, count)
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
    depth, lowest, in_list, row_depth = 0, 0, 0, 0
    hinted = code_at(codes, 1, count) == _COMMENT_OPEN  # a hint to the server behind the verb, as dump tools write it
    for i in range(count):
        code = codes[i]
        before = code_at(codes, i - 1, count)
        if hinted and (code == _COMMENT_OPEN or code == _COMMENT_CLOSE):
            hinted = code == _COMMENT_OPEN
            continue
        if code == OPENING:
            depth += 1
            if before == _VALUES:
                row_depth = depth
            next_row = before == COMMA and depth == row_depth and code_at(codes, i - 2, count) == CLOSING
            if in_list == 0 and (before == _IN or before == _VALUES or next_row):
                in_list = depth
        elif code == CLOSING:
            if in_list == depth:
                in_list = 0
            depth -= 1
            lowest = min(lowest, depth)
        if i > 0 and (added[i] or added[i - 1]) and _is_odd(before, code, added[i]):
            f[_ODD] += 1.0
        listed = known and added[i] and in_list > 0 and depth >= in_list
        is_query = code == _SELECT and code_at(codes, i - 2, count) != _IN
        if listed and (is_name(code) or is_operator(code) or is_query):
            f[_IN_LIST] += 1.0
    f[_UNBALANCED] = count < MAX_TOKENS and (lowest < 0 or depth != 0)  # a longer text is cut in its middle


@kernel
def _writes(code: int) -> bool:
    return code == _UPDATE or code == _DELETE or code == _INSERT or code == _DROP


@kernel
def _keywords(
    known: Any, codes: Any, ids: Any, count: int, added: Any, prefix: int, site: Any, f: Any
) -> None:  # fmt: skip
    """Features of added keywords."""
    between, ordering, depth, order_depth = False, False, 0, 0
    reads_only, only_items = True, True
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
        before = code_at(codes, i - 1, count)
        unknown = not holds(site, mix3(id_at(ids, i - 2, count), id_at(ids, i - 1, count), ids[i]))
        if code == _UNION or code == _INTERSECT or code == _EXCEPT or code == _MINUS:
            f[_SET] += 1.0
            if (before == VALUE or (before == CLOSING and code_at(codes, i - 2, count) == VALUE)) and unknown:
                f[_SET_AFTER] = 1.0
        elif code == _SELECT:
            behind_set = before == _UNION or before == _ALL or before == _DISTINCT or before == SEMICOLON
            if not behind_set and i > 0:
                f[_SUB] += 1.0
                if i > 1 and f[_AT] > 0 and (i - prefix <= 3 or only_items):
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
            f[_AND_UNKNOWN] += not holds(site, mix3(ids[i], id_at(ids, i + 1, count), id_at(ids, i + 2, count)))
        elif (code == _AMPERSANDS or code == _BARS) and (before == VALUE or i == prefix):
            f[_CONCATENATION] += 1.0
        if is_keyword(code) and before == SEMICOLON:
            f[_STACKED] += 1.0
        only_items = only_items and (code == VALUE or code == COMMA or code == OPENING or code == CLOSING)


@kernel
def _names(
    codes: Any, ids: Any, role: Any, count: int, added: Any, edges: tuple[int, int], filters: tuple[Any, Any], f: Any
) -> None:
    """Features of added names."""
    prefix, first = edges
    site, resource = filters
    column = column_of_slot(codes, role, first) if first > 0 else 0
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
def _is_prose(code: int) -> bool:
    """Return whether a keyword is rather a word of a sentence than part of an injected query, as in ``don't call``."""
    return is_keyword(code) and not (
        code == _SELECT or code == _UNION or code == _OR or code == _AND or code == _XOR or code == _FROM
        or code == _WHERE or code == _ORDER or code == _GROUP or code == _BY or code == _HAVING or code == _LIMIT
        or code == _INTERSECT or code == _EXCEPT or code == _INTO or _writes(code)
    )  # fmt: skip


@kernel
def _extent(known: Any, codes: Any, count: int, added: Any, removed: Any, f: Any) -> None:
    """Features of how much was added and removed, and of which kind alone."""
    tail_only, list_only, behind_from = True, True, False
    words_only, has_word, list_item, starts_with_word = True, False, True, True
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
        word = plain or code == VALUE or code == UNKNOWN_SYMBOL or code == _PERCENT or code == _DASH or _is_prose(code)
        words_only = words_only and (word or code == _AT_SIGN)
        has_word = has_word or is_name(code) or code == _PERCENT
        before = code_at(codes, i - 1, count)
        was_item = list_item
        list_item = list_item and ((code == VALUE and before == COMMA) or (code == COMMA and before == VALUE))
        if was_item and not list_item:
            starts_with_word = is_name(code) or _is_prose(code)
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
    f[WORDS_ONLY] = 0.0
    begins_well = starts_with_word or more <= MAX_WILDCARDS  # '%dogs'%'
    if words_only and begins_well and (has_word or more == 0) and more <= MAX_WORDS:
        f[WORDS_ONLY] = 1.0
    elif list_item and more <= MAX_WORDS:
        f[WORDS_ONLY] = ONLY_ITEMS


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
        f: float64 [FEATURE_CELLS], written: ``FEATURES``, then the slot.
    """
    codes, ids, role, count = statement
    added, removed = marks
    site, resource = filters
    for k in range(FEATURE_CELLS):
        f[k] = 0.0
    if count == 0:
        return
    hunks, prefix, suffix = align(known, codes, count, added, removed)
    describe_edges(known, codes, count, hunks, prefix, suffix, f)
    has_known = known.shape[0] > 0
    first = describe_runs(codes, ids, count, added, site, f) if has_known and hunks > 0 else 0
    _trigrams(codes, ids, count, hunks, site, resource, f)
    _balance(codes, count, added, has_known, f)
    _keywords(known, codes, ids, count, added, prefix, site, f)
    describe_conditions(codes, count, added, f)
    _names(codes, ids, role, count, added, (prefix, first), filters, f)
    _extent(known, codes, count, added, removed, f)
    for k in range(COUNT):
        f[k] = min(f[k], MAX_FEATURE)
    for k in _COUNTED:
        f[k] = min(f[k], MAX_COUNTED)
