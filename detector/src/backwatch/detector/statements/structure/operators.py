"""Where the shape of a document has an operator and the nearest known one a value.

An app that passes a request's JSON into a filter lets the request choose: ``"x"`` becomes ``{"$gt": ""}``.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.known import common
from backwatch.detector.statements.structure.vocabulary import COMMA, LEFT_CURLY, VALUE

_REPLACING: Final[Mapping[str, float]] = {
    "$gt": 4.4, "$lt": 4.4, "$regex": 4.4, "$nin": 4.4, "$where": 5.0, "$expr": 4.4, "$type": 4.0, "$mod": 4.0,
    "$ne": 3.9, "$exists": 3.9, "$not": 3.9, "$gte": 2.0, "$lte": 2.0, "$in": 1.5, "$eq": 1.0, "$elemMatch": 1.5,
}  # fmt: skip
"""Log odds of an operator in the place of a value. Forms that choose between one value and several, or a range, are
honest; those that choose between a value and nearly all are rare."""
_ADDED: Final[Mapping[str, float]] = {
    "$where": 5.0, "$function": 5.0, "$accumulator": 5.0, "$out": 3.5, "$merge": 3.5, "$unionWith": 3.5,
    "$lookup": 2.0, "$graphLookup": 2.5, "$expr": 2.0, "$or": 1.0, "script": 2.0, "query_string": 1.5,
}  # fmt: skip
"""Log odds of a word that the call site's nearest statement lacks: code, another collection, an alternative."""
SEVERAL_LOG_ODDS: Final = 5.0
"""Two values of one filter became operators: a login in which neither name nor password counts."""
RANGE_LOG_ODDS: Final = 2.0


def _table(weights: Mapping[str, float]) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    codes = [int(tokens_of(word)[0][0]) for word in weights]
    return np.array(codes, np.uint16), np.array(list(weights.values()), np.float64)


REPLACING_CODES, REPLACING_WEIGHTS = _table(_REPLACING)
ADDED_CODES, ADDED_WEIGHTS = _table(_ADDED)


@kernel
def _weight(code: int, codes: Any, weights: Any) -> float:
    for k in range(codes.shape[0]):
        if codes[k] == code:
            return float(weights[k])
    return 0.0


@kernel
def _has(known: Any, code: int) -> bool:
    for k in range(known.shape[0]):
        if known[k] == code:
            return True
    return False


@kernel
def _replaced(new: Any, at: int, count: int) -> float:
    """Return the log odds of an operator that stands at a value's place; 0 where it is none."""
    if at + 1 >= count or new[at] != LEFT_CURLY:
        return 0.0
    found = _weight(new[at + 1], REPLACING_CODES, REPLACING_WEIGHTS)
    is_range = found > 0.0 and at + 4 < count and new[at + 3] == VALUE and new[at + 4] == COMMA
    return min(found, RANGE_LOG_ODDS) if is_range else found


@kernel
def operator_log_odds(known: Any, new: Any, count: int) -> tuple[float, int]:
    """Return the log odds that operators were injected, and where the texts begin to differ.

    Args:
        known: Codes of the nearest known statement.
        new: Codes of the new one.
        count: The number of its tokens.
    """
    prefix, suffix = common(known, new, count)
    best, slots = 0.0, 0
    if prefix < known.shape[0] and known[prefix] == VALUE:
        best = _replaced(new, prefix, count)
        slots = int(best >= RANGE_LOG_ODDS)
    for k in range(prefix, count - suffix):
        weight = _weight(new[k], ADDED_CODES, ADDED_WEIGHTS)
        if weight > best and not _has(known, new[k]):
            best = weight
        if slots > 0 and k > prefix and _replaced(new, k, count) > RANGE_LOG_ODDS:
            slots += 1
    return (SEVERAL_LOG_ODDS if slots > 1 and best < SEVERAL_LOG_ODDS else best), prefix
