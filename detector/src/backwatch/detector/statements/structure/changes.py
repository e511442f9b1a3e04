"""What changed from the nearest known statement to a new one, in a closed vocabulary."""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.features import F
from backwatch.detector.statements.structure.roles import TABLE

CHANGES: Final = (
    "literal became expression", "set operation added", "sub-select added", "statement stacked",
    "condition removed or constant", "table or column new here", "function new to the app", "writes",
    "filter added", "sort or limit", "column list", "words in a value's place",
)  # fmt: skip
"""Names of the bits. A *set operation* is UNION, INTERSECT, EXCEPT or MINUS; *here* is the call site."""
EXPRESSION, SET_OPERATION, SUB_SELECT, STACKED, CONDITION, NAME, FUNCTION, WRITES, FILTER, ORDER, COLUMNS, WORDS = (
    1 << bit for bit in range(len(CHANGES))
)
QUERY: Final = 1 << len(CHANGES)
"""A further bit, without a name: what was added reads a table."""
BITS: Final = len(CHANGES) + 1

_AT, _REPLACED, _CHANGED, _COLUMN_VALUE = F["at-slot"], F["slot-replaced"], F["slot-changed"], F["column-for-value"]
_FUNCTION_AT, _SUB_AT, _CONCATENATION = F["function-at-slot"], F["sub-select-at-slot"], F["concatenation"]
_ARITHMETIC, _IN_LIST = F["constant-arithmetic"], F["expression-in-list"]
_SET, _SUB, _WITH, _STACKED, _WRITE, _FROM_AT = (
    F["set-operation"], F["sub-select"], F["with"], F["stacked"], F["write-added"], F["from-at-slot"],
)  # fmt: skip
_CONSTANT, _COMPARISON, _SELF, _REMOVED, _OR = (
    F["constant-condition"], F["constant-comparison"], F["self-comparison"], F["condition-removed"], F["or-added"],
)  # fmt: skip
_TABLE, _NAME, _FUNCTION, _AND, _ORDER_ONLY, _LIST_ONLY = (
    F["new-table-site"], F["new-name-site"], F["new-function-resource"], F["and-added"], F["order-limit-only"],
    F["list-column-only"],
)  # fmt: skip


@kernel
def changes_of(f: Any, words_only: bool) -> int:
    """Return the bits of a statement's features."""
    found = 0
    if f[_CHANGED] + f[_COLUMN_VALUE] + f[_FUNCTION_AT] + f[_SUB_AT] + f[_CONCATENATION] + f[_ARITHMETIC] > 0.0:
        found |= EXPRESSION
    if f[_IN_LIST] > 0.0:
        found |= EXPRESSION
    if f[_SET] > 0.0:
        found |= SET_OPERATION
    if f[_SUB] + f[_WITH] > 0.0:
        found |= SUB_SELECT
    if f[_STACKED] > 0.0:
        found |= STACKED
    if f[_CONSTANT] + f[_COMPARISON] + f[_SELF] + f[_REMOVED] + f[_OR] > 0.0:
        found |= CONDITION
    if f[_TABLE] + f[_NAME] > 0.0:
        found |= NAME
    if f[_FUNCTION] > 0.0:
        found |= FUNCTION
    if f[_WRITE] > 0.0:
        found |= WRITES
    if f[_AND] > 0.0:
        found |= FILTER
    if f[_ORDER_ONLY] > 0.0:
        found |= ORDER
    if f[_LIST_ONLY] > 0.0:
        found |= COLUMNS
    if words_only:
        found |= WORDS
    if (f[_SET] + f[_SUB] + f[_WITH] + f[_STACKED] > 0.0) and f[_FROM_AT] + f[_TABLE] > 0.0:
        found |= QUERY
    return found


@kernel
def span_of(added: Any, count: int) -> int:
    """Return the first added token, times 65,536, and the token behind the last; 0: none."""
    first, end = -1, 0
    for i in range(count):
        if added[i]:
            first = i if first < 0 else first
            end = i + 1
    return first * 65_536 + end if end > 0 else 0


@kernel
def sketch_tables(ids: Any, roles: Any, added: Any, count: int) -> int:
    """Return the tables that added tokens name, as a sketch of 32 bits."""
    found = np.int64(0)
    for i in range(count):
        if added[i] and roles[i] == TABLE:
            found |= np.int64(1) << np.int64(ids[i] >> np.uint32(8) & np.uint32(31))
    return int(found)
