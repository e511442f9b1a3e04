"""Weights of the signals of ``injection.py``, in log odds.

Written by ``bench/query_weights``: two logistic regressions with signs that the meaning of a signal fixes, drawn to
expert values where the data say little. The first judges statements at call sites whose statements are known, the
second knows nothing of the app.
"""

from typing import Final

import numpy as np

from backwatch.detector.baselines.injection import SIGNALS

WEIGHTS: Final[dict[str, tuple[float, float]]] = {
    "at-slot": (1.40, 0.00),
    "slot-replaced": (1.16, 0.00),
    "after-slot": (0.03, 0.00),
    "set-operation": (0.00, 0.21),
    "sub-select": (0.72, 0.00),
    "stacked": (2.36, 0.06),
    "case": (0.46, 0.00),
    "or-added": (0.77, 0.00),
    "and-added": (-0.89, 0.00),
    "constant-condition": (0.70, 1.18),
    "constant-comparison": (2.77, 2.81),
    "self-comparison": (1.09, 0.00),
    "column-for-value": (0.62, 0.00),
    "new-table-site": (0.32, 0.00),
    "new-table-resource": (1.50, 0.00),
    "tail-lost": (0.19, 0.00),
    "condition-removed": (0.01, 0.00),
    "unbalanced": (2.28, 2.72),
    "odd-adjacency": (2.16, 0.00),
    "order-limit-only": (-0.57, 0.00),
    "list-column-only": (-0.18, 0.00),
    "hunks": (0.02, 0.00),
    "added": (-0.24, 0.00),
    "removed": (0.34, 0.00),
    "prefix-share": (0.26, 0.00),
    "other-verb": (-1.58, 0.00),
    "concatenation": (0.46, 1.35),
    "function-at-slot": (0.57, 0.00),
    "sub-select-at-slot": (1.32, 0.00),
    "all-known-site": (-1.25, 0.00),
    "all-known-resource": (-1.50, 0.00),
    "off-slot": (-0.09, 0.00),
    "constant-arithmetic": (2.56, 0.74),
    "slot-changed": (1.19, 0.00),
    "after-slot-unknown": (0.35, 0.00),
    "or-first": (2.49, 0.00),
    "write-added": (2.42, 0.00),
    "set-operation-after-slot": (2.17, 0.00),
    "sub-select-in-order": (2.79, 0.00),
    "grammar-query-after-value": (3.00, 4.48),
    "grammar-values-adjacent": (2.66, 4.87),
    "grammar-operand-missing": (1.58, 2.29),
    "grammar-clause-out-of-order": (2.41, 2.91),
    "grammar-comparison-chained": (2.56, 4.14),
    "grammar-condition-in-values": (2.33, 4.10),
    "grammar-set-operation-misplaced": (3.04, 4.50),
    "grammar-constant-row-appended": (1.52, 1.80),
    "grammar-call-compared-with-itself": (2.00, 3.01),
    "grammar-or-constant": (2.00, 2.99),
    "sign-comment-tail": (0.18, 4.80),
    "sign-tautology": (0.01, 4.39),
    "sign-union-appended": (0.06, 3.18),
    "sign-stacked": (0.00, 3.24),
    "sign-time-delay": (0.14, 4.59),
    "sign-catalogue": (0.02, 2.43),
    "sign-encoded-string": (0.06, 2.61),
    "sign-unbalanced-quote": (0.40, 3.79),
    "sign-file-access": (0.00, 4.23),
    "sign-program": (0.00, 4.40),
    "sign-error-based": (0.04, 4.41),
    "sign-version-probe": (0.08, 2.12),
    "sign-conditional": (0.02, 2.70),
    "sign-executable-comment": (0.00, 3.21),
    "sign-odd-spacing": (0.01, 2.10),
    "sign-weight": (1.21, 0.00),
    "sign-enough": (0.39, 0.00),
    "two-signs": (0.08, 0.18),
    "constant-alternative": (0.00, 2.46),
    "known-elsewhere": (-0.01, 0.00),
    "slot-x-new-name": (0.24, 0.00),
    "elsewhere-x-unknown": (-0.56, 0.00),
    "slot-x-case": (0.37, 0.00),
    "slot-x-constant-comparison": (1.67, 0.00),
    "slot-x-new-table-resource": (0.66, 0.00),
    "slot-x-new-function-site": (0.11, 0.00),
    "slot-x-new-function-resource": (0.11, 0.00),
    "slot-x-prefix-share": (1.44, 0.00),
    "slot-x-or-first": (0.56, 0.00),
    "slot-x-set-operation-after-slot": (0.08, 0.00),
}
"""By signal: the weight where the call site is known, and where nothing is."""
KNOWN_BIAS: Final = -2.97
COLD_BIAS: Final = -3.93

_BY_SIGNAL = np.array([WEIGHTS.get(signal, (0.0, 0.0)) for signal in SIGNALS])
KNOWN: Final = np.ascontiguousarray(_BY_SIGNAL[:, 0])
COLD: Final = np.ascontiguousarray(_BY_SIGNAL[:, 1])
