"""One probability that a statement was injected into, from all evidence of it.

The evidence is a vector of named signals: what distinguishes the statement from the nearest known one, what no valid
statement contains, the signs of its raw text, how much of its call site is still unseen. Two logistic models read it:
one for statements at call sites that are known, one that knows nothing of the app. ``bench/query_weights`` fits their
weights, which stand in ``injection_weights.py``. What no data can teach is added with fixed weights: the class of the
database's error, similar statements of the last minutes, and rows beyond what the call site ever returned.
"""

import math
from typing import Any, Final

import numpy as np

from backwatch.collector import names
from backwatch.detector.baselines.suspicion import ATTACK_WEIGHT, SIGN_WEIGHTS
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.features import COUNT, F
from backwatch.detector.statements.structure.grammar import KIND_CELLS as KINDS_COUNT
from backwatch.detector.statements.structure.grammar import KINDS
from backwatch.detector.statements.structure.vocabulary import ordered_words

CROSSED: Final = ordered_words(
    """
    set-operation sub-select case or-added or-unknown and-unknown constant-condition constant-comparison
    new-table-site new-table-resource new-function-site new-function-resource new-name-site column-repeated
    suffix-lost hunks prefix-share or-first set-operation-after-slot
    """
)
"""Features that mean more where the statement differs at the place of a value."""
OTHERS: Final = (
    "sign-weight", "sign-enough", "two-signs", "constant-alternative", "surprise", "known-elsewhere", "slot-x-unknown",
    "slot-x-new-name", "elsewhere-x-unknown", "input-x-query",
)  # fmt: skip
SIGNALS: Final = (
    *F, *(f"grammar-{kind}" for kind in KINDS), *(f"sign-{sign}" for sign in names.SIGNS), *OTHERS,
    *(f"slot-x-{name}" for name in CROSSED),
)  # fmt: skip
"""Names of the signals, in order."""
COUNT_OF_SIGNALS: Final = len(SIGNALS)
_SIGNS_AT: Final = COUNT + KINDS_COUNT
_OTHERS_AT: Final = _SIGNS_AT + len(names.SIGNS)
_CROSSED_AT: Final = _OTHERS_AT + len(OTHERS)
_CROSSED: Final = np.array([F[name] for name in CROSSED], np.int64)
_AT, _OFF, _SLOT_CHANGED, _AFTER_UNKNOWN = F["at-slot"], F["off-slot"], F["slot-changed"], F["after-slot-unknown"]
_UNKNOWN, _TABLE, _FUNCTION, _NAME = (
    F["trigrams-site"], F["new-table-site"], F["new-function-site"], F["new-name-site"],
)  # fmt: skip
_OR_ADDED, _CONDITION, _COMPARISON = F["or-added"], F["constant-condition"], F["constant-comparison"]
_ODD, _UNBALANCED = F["odd-adjacency"], F["unbalanced"]
_SET_OPERATION, _SUB_SELECT, _STACKED, _CASE = F["set-operation"], F["sub-select"], F["stacked"], F["case"]
_ADJACENT: Final = COUNT + KINDS.index("values-adjacent")
_INPUT: Final = names.SIGNS.index("request-input")
_QUOTE: Final = names.SIGNS.index("unbalanced-quote")
EFFECT_SIGNS: Final = frozenset(("file-access", "program", "time-delay", "catalogue", "version-probe", "cut"))
"""Signs of a statement's effect, not of injected text."""
_IS_EFFECT: Final = np.array([sign in EFFECT_SIGNS for sign in names.SIGNS])
MAX_SIGN_WEIGHT: Final = 8.0
OFF_SLOT_SHARE: Final = 0.6
"""What a difference at a value's place counts for if the statement differs elsewhere, too."""
MIN_UNSEEN: Final = 1e-4


@kernel
def compose(features: Any, kinds: Any, signs: int, unseen: float, elsewhere: bool, x: Any) -> None:
    """Write the vector of signals.

    Args:
        features: float64 [FEATURE_CELLS of ``features.py``].
        kinds: float64 [KIND_CELLS of ``grammar.py``].
        signs: Bits of the signs that are unusual at the call site.
        unseen: Estimated share of the call site's calls that are unseen, in [0, 1]; 1 where nothing is known.
        elsewhere: Whether another call site of the resource knows the statement.
        x: float64 [COUNT_OF_SIGNALS], written.
    """
    for k in range(COUNT):
        x[k] = features[k]
    for k in range(KINDS_COUNT):
        x[COUNT + k] = min(kinds[k], 1.0)
    weight, shown = 0.0, 0
    for k in range(SIGN_WEIGHTS.shape[0]):
        has = (signs >> k) & 1
        x[_SIGNS_AT + k] = has
        weight += has * SIGN_WEIGHTS[k]
        shown += has
    slot = 1.0 if features[_SLOT_CHANGED] + features[_AFTER_UNKNOWN] > 0.0 else features[_AT]
    if features[_OFF] > 0.0:
        slot *= OFF_SLOT_SHARE
    unknown = features[_UNKNOWN]
    x[_OTHERS_AT] = min(weight, MAX_SIGN_WEIGHT)
    x[_OTHERS_AT + 1] = weight >= ATTACK_WEIGHT
    x[_OTHERS_AT + 2] = shown > 1
    x[_OTHERS_AT + 3] = features[_OR_ADDED] > 0.0 and features[_CONDITION] + features[_COMPARISON] > 0.0
    x[_OTHERS_AT + 4] = -math.log(max(unseen, MIN_UNSEEN))
    x[_OTHERS_AT + 5] = elsewhere
    x[_OTHERS_AT + 6] = slot * unknown
    x[_OTHERS_AT + 7] = slot if features[_TABLE] + features[_FUNCTION] + features[_NAME] > 0.0 else 0.0
    x[_OTHERS_AT + 8] = (1.0 - slot) * unknown
    query = features[_SET_OPERATION] + features[_SUB_SELECT] + features[_STACKED] + features[_CASE]
    x[_OTHERS_AT + 9] = 1.0 if query > 0.0 and (signs >> _INPUT) & 1 else 0.0
    for k in range(_CROSSED.shape[0]):
        x[_CROSSED_AT + k] = slot * features[_CROSSED[k]]


@kernel
def is_broken(x: Any) -> bool:
    """Return whether a statement shows a sign or what no valid statement contains."""
    found = x[_OTHERS_AT] > 0.0 or x[_ODD] + x[_UNBALANCED] > 0.0
    for k in range(KINDS_COUNT):
        found = found or x[COUNT + k] > 0.0
    return found


@kernel
def has_input(x: Any) -> bool:
    """Return whether input of the surrounding request is code of the statement."""
    return x[_SIGNS_AT + _INPUT] > 0.0


@kernel
def is_broken_by_quote(x: Any) -> bool:
    """Return whether nothing is wrong but a text that ends too early, as in ``'o'brien'``."""
    quoted = x[_ADJACENT] + x[_SIGNS_AT + _QUOTE] > 0.0
    for k in range(KINDS_COUNT):
        quoted = quoted and (COUNT + k == _ADJACENT or x[COUNT + k] == 0.0)
    for k in range(SIGN_WEIGHTS.shape[0]):
        quoted = quoted and (k == _INPUT or k == _QUOTE or x[_SIGNS_AT + k] == 0.0)
    return quoted


@kernel
def input_log_odds(x: Any, weights: Any) -> float:
    """Return what it adds that input of the request is code. A statement that was refused may be an honest text's."""
    return x[_SIGNS_AT + _INPUT] * weights[_SIGNS_AT + _INPUT] + x[_OTHERS_AT + 9] * weights[_OTHERS_AT + 9]


@kernel
def score(x: Any, weights: Any, bias: float, cap: float) -> float:
    """Return the log odds that one model gives; a signal counts up to ``cap``."""
    total = bias
    for k in range(x.shape[0]):
        total += weights[k] * min(x[k], cap)
    return total


@kernel
def effect_log_odds(x: Any, weights: Any) -> float:
    """Return what the signs of a statement's effect add, which a statement without injected text may show, too."""
    total, weight, other = 0.0, 0.0, 0.0
    for k in range(SIGN_WEIGHTS.shape[0]):
        if x[_SIGNS_AT + k] == 0.0:
            continue
        if _IS_EFFECT[k]:
            total += weights[_SIGNS_AT + k]
            weight += SIGN_WEIGHTS[k]
        else:
            other += SIGN_WEIGHTS[k]
    if weight > 0.0:
        total += weights[_OTHERS_AT] * (x[_OTHERS_AT] - min(other, MAX_SIGN_WEIGHT))
        total += weights[_OTHERS_AT + 1] * (x[_OTHERS_AT + 1] - (1.0 if other >= ATTACK_WEIGHT else 0.0))
        total += weights[_OTHERS_AT + 2] * x[_OTHERS_AT + 2]
    return total


@kernel
def probability(log_odds: float) -> float:
    """Return the probability of log odds.

    >>> probability(0.0)
    0.5
    """
    return 1.0 / (1.0 + math.exp(-max(min(log_odds, 50.0), -50.0)))
