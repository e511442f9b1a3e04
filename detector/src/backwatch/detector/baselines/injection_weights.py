"""Weights of the signals of ``injection.py``, in log odds.

Written by ``bench/query_weights``: two logistic regressions with signs that the meaning of a signal fixes, drawn to
expert values where the data say little. The first judges statements at call sites whose statements are known, the
second knows nothing of the app.
"""

from typing import Final

import numpy as np

from backwatch.detector.baselines.injection import SIGNALS

WEIGHTS: Final[dict[str, tuple[float, float]]] = {
    "at-slot": (1.09, 0.00),
    "slot-replaced": (1.17, 0.00),
    "set-operation": (0.02, 0.21),
    "sub-select": (0.79, 0.00),
    "stacked": (2.28, 0.06),
    "case": (0.54, 0.00),
    "or-added": (0.87, 0.00),
    "and-added": (-0.55, 0.00),
    "constant-condition": (2.17, 1.30),
    "constant-comparison": (2.75, 2.80),
    "self-comparison": (1.27, 0.00),
    "column-for-value": (0.64, 0.00),
    "new-table-resource": (1.25, 0.00),
    "new-function-resource": (0.06, 0.00),
    "unbalanced": (2.36, 2.72),
    "odd-adjacency": (2.10, 0.00),
    "order-limit-only": (-0.45, 0.00),
    "list-column-only": (-0.17, 0.00),
    "hunks": (-0.34, 0.00),
    "added": (-0.23, 0.00),
    "removed": (0.35, 0.00),
    "prefix-share": (0.16, 0.00),
    "other-verb": (-2.00, 0.00),
    "concatenation": (0.42, 1.35),
    "function-at-slot": (0.51, 0.00),
    "sub-select-at-slot": (1.36, 0.00),
    "all-known-site": (-1.16, 0.00),
    "all-known-resource": (-1.25, 0.00),
    "from-at-slot": (0.16, 0.00),
    "constant-arithmetic": (2.60, 0.74),
    "slot-changed": (1.18, 0.00),
    "after-slot-unknown": (0.22, 0.00),
    "or-first": (2.59, 0.00),
    "write-added": (2.48, 0.00),
    "set-operation-after-slot": (2.23, 0.00),
    "sub-select-in-order": (2.98, 0.00),
    "grammar-query-after-value": (3.00, 4.48),
    "grammar-values-adjacent": (2.63, 4.86),
    "grammar-operand-missing": (1.56, 2.29),
    "grammar-clause-out-of-order": (2.47, 2.91),
    "grammar-comparison-chained": (2.57, 4.13),
    "grammar-condition-in-values": (2.22, 4.11),
    "grammar-set-operation-misplaced": (3.04, 4.50),
    "grammar-constant-row-appended": (1.54, 1.80),
    "grammar-call-compared-with-itself": (2.00, 3.01),
    "grammar-or-constant": (2.00, 2.99),
    "grammar-letter-compared": (1.50, 3.50),
    "sign-comment-tail": (0.20, 4.79),
    "sign-tautology": (0.01, 4.39),
    "sign-union-appended": (0.11, 3.18),
    "sign-stacked": (0.00, 3.24),
    "sign-time-delay": (0.15, 4.59),
    "sign-catalogue": (0.01, 2.43),
    "sign-encoded-string": (0.04, 2.61),
    "sign-unbalanced-quote": (0.41, 3.78),
    "sign-file-access": (0.00, 4.23),
    "sign-program": (0.01, 4.40),
    "sign-error-based": (0.02, 4.41),
    "sign-version-probe": (0.07, 2.12),
    "sign-conditional": (0.02, 2.70),
    "sign-executable-comment": (0.00, 3.21),
    "sign-odd-spacing": (0.01, 2.10),
    "sign-request-input": (0.00, 3.40),
    "sign-weight": (1.14, 0.00),
    "sign-enough": (0.39, 0.00),
    "two-signs": (0.06, 0.18),
    "constant-alternative": (0.17, 2.54),
    "known-elsewhere": (-0.01, 0.00),
    "slot-x-new-name": (0.04, 0.00),
    "elsewhere-x-unknown": (-0.92, 0.00),
    "input-x-query": (0.00, 1.80),
    "slot-x-set-operation": (0.04, 0.00),
    "slot-x-case": (0.42, 0.00),
    "slot-x-constant-condition": (1.05, 0.00),
    "slot-x-constant-comparison": (1.66, 0.00),
    "slot-x-new-table-resource": (0.71, 0.00),
    "slot-x-new-function-site": (0.24, 0.00),
    "slot-x-new-function-resource": (0.23, 0.00),
    "slot-x-prefix-share": (1.30, 0.00),
    "slot-x-or-first": (0.59, 0.00),
    "slot-x-set-operation-after-slot": (0.23, 0.00),
}
"""By signal: the weight where the call site is known, and where nothing is."""
KNOWN_BIAS: Final = -2.06
COLD_BIAS: Final = -3.92

_BY_SIGNAL = np.array([WEIGHTS.get(signal, (0.0, 0.0)) for signal in SIGNALS])
KNOWN: Final = np.ascontiguousarray(_BY_SIGNAL[:, 0])
COLD: Final = np.ascontiguousarray(_BY_SIGNAL[:, 1])
