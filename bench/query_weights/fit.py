"""Two logistic regressions whose weights keep the direction that a signal's meaning gives them.

Where the data say little, a weight is drawn to an expert's value (maximum a posteriori with a normal prior). Source of
the optimiser: R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
optimization", SIAM Journal on Scientific Computing 16, 1995, as scikit-learn uses it, in SciPy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from backwatch.collector import names
from backwatch.detector.baselines.injection import CROSSED, SIGNALS
from backwatch.detector.baselines.suspicion import WEIGHT_OF_SIGN
from backwatch.detector.statements.structure.grammar import KINDS
from bench.query_weights.records import NOT_FITTED

Array = NDArray[Any]
_HONEST: Final = frozenset(
    [
        "hunks",
        "slot-x-hunks",
        "off-slot",
        "order-limit-only",
        "list-column-only",
        "no-hunk",
        "known-elsewhere",
        "all-known-site",
    ]
) | {"all-known-resource"}
_EITHER: Final = frozenset(
    ["and-added", "hunks", "added", "removed", "prefix-share", "other-verb", "elsewhere-x-unknown"]
)
EXPERT_KNOWN: Final[Mapping[str, float]] = {
    "write-added": 3, "stacked": 3, "self-comparison": 2, "constant-condition": 2, "constant-comparison": 2.5,
    "set-operation-after-slot": 2, "constant-arithmetic": 2.5, "or-first": 2, "slot-changed": 1.5,
    "expression-in-list": 1, "column-repeated": 1, "unbalanced": 1.5, "odd-adjacency": 0.5, "new-table-resource": 0.5,
    "slot-x-new-table-resource": 0.5, "slot-x-constant-comparison": 1.5, "slot-x-constant-condition": 1,
    "sub-select-in-order": 2.5, "grammar-query-after-value": 3, "grammar-values-adjacent": 2.5,
    "grammar-set-operation-misplaced": 3, "grammar-clause-out-of-order": 2, "grammar-comparison-chained": 2.5,
    "grammar-condition-in-values": 2, "grammar-or-constant": 2, "grammar-operand-missing": 1.5,
    "grammar-constant-row-appended": 1.5, "grammar-call-compared-with-itself": 2,
    "grammar-letter-compared": 1.5,
}  # fmt: skip
EXPERT_COLD: Final[Mapping[str, float]] = {
    "grammar-query-after-value": 4.5, "grammar-values-adjacent": 4.5, "grammar-set-operation-misplaced": 4.5,
    "grammar-clause-out-of-order": 3, "grammar-comparison-chained": 4, "grammar-condition-in-values": 4,
    "grammar-or-constant": 3, "constant-alternative": 2.5, "constant-comparison": 2.5, "grammar-operand-missing": 2.5,
    "unbalanced": 2.5, "grammar-constant-row-appended": 2, "grammar-call-compared-with-itself": 3,
    "constant-condition": 1.5, "concatenation": 1, "grammar-letter-compared": 3.5, "input-x-query": 1.8,
    **{f"sign-{sign}": 1.2 * weight + 0.8 for sign, weight in WEIGHT_OF_SIGN.items()},
    "sign-request-input": 3.4,
}  # fmt: skip
COLD_SIGNALS: Final = (
    "unbalanced", "constant-condition", "constant-comparison", "constant-arithmetic", "concatenation",
    "set-operation", "stacked", *(f"grammar-{kind}" for kind in KINDS),
    *(f"sign-{sign}" for sign in names.SIGNS if sign not in NOT_FITTED), "two-signs", "constant-alternative",
)  # fmt: skip
"""What a statement of which nothing is known can show."""
COLD_AT: Final = np.array([SIGNALS.index(name) for name in COLD_SIGNALS])
_CROSSED: Final = frozenset(f"slot-x-{name}" for name in CROSSED)


def _bounds(signal: str) -> tuple[float, float]:
    if signal in _EITHER or signal == "slot-x-prefix-share":
        return -2.0, 2.0
    return (-4.0, 0.0) if signal in _HONEST else (0.0, 4.0)


def fit_known(x: Array, y: Array, weight: Array) -> tuple[Array, float]:
    """Return weights and bias of the model for call sites that are known."""
    expert = np.array([EXPERT_KNOWN.get(name, 0.0) for name in SIGNALS])
    return _fit(x, y, weight, expert, [_bounds(name) for name in SIGNALS], 1.0)


def fit_cold(x: Array, y: Array, weight: Array) -> tuple[Array, float]:
    """Return weights and bias of the model that knows nothing; ``x`` holds all signals, of which it reads some."""
    expert = np.array([EXPERT_COLD.get(name, 0.0) for name in COLD_SIGNALS])
    found, bias = _fit(np.minimum(x[:, COLD_AT], 1.0), y, weight, expert, [(0.0, 8.0)] * len(COLD_SIGNALS), 15.0)
    weights = np.zeros(len(SIGNALS))
    weights[COLD_AT] = found
    for name in ("sign-request-input", "input-x-query"):  # no open data has requests
        weights[SIGNALS.index(name)] = EXPERT_COLD[name]
    return weights, bias


def _fit(
    x: Array, y: Array, weight: Array, expert: Array, bounds: Sequence[tuple[float, float]], pull: float
) -> tuple[Array, float]:
    def loss(parameters: Array) -> tuple[float, Array]:
        log_odds = x @ parameters[:-1] + parameters[-1]
        away = parameters[:-1] - expert
        error = weight * (1.0 / (1.0 + np.exp(-np.clip(log_odds, -50, 50))) - y)
        value = float(np.sum(weight * (np.logaddexp(0, log_odds) - y * log_odds)) + pull * np.sum(away**2))
        return value, np.append(x.T @ error + 2 * pull * away, error.sum())

    start = np.append(expert, -3.0)
    solved: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, (-15.0, 5.0)])
    return solved.x[:-1], float(solved.x[-1])
