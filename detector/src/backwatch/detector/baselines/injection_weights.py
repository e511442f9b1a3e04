"""Weights of the signals of ``injection.py``, in log odds.

Written by ``bench/query_weights``: two logistic regressions with signs that the meaning of a signal fixes, drawn to
expert values where the data say little. The first judges statements at call sites whose statements are known, the
second knows nothing of the app.
"""

from typing import Final

import numpy as np

from backwatch.detector.baselines.injection import SIGNALS

WEIGHTS: Final[dict[str, tuple[float, float]]] = {
    "at-slot": (1.04, 0.00),
    "slot-replaced": (1.51, 0.00),
    "after-slot": (0.02, 0.00),
    "set-operation": (0.00, 0.27),
    "sub-select": (1.00, 0.00),
    "with": (0.99, 0.00),
    "stacked": (2.03, 0.06),
    "case": (0.49, 0.00),
    "or-added": (0.15, 0.00),
    "and-added": (-1.19, 0.00),
    "constant-condition": (0.74, 0.45),
    "constant-comparison": (2.82, 2.92),
    "self-comparison": (0.78, 0.00),
    "column-for-value": (0.67, 0.00),
    "new-table-resource": (1.14, 0.00),
    "tail-lost": (0.05, 0.00),
    "unbalanced": (2.32, 2.63),
    "odd-adjacency": (1.08, 0.00),
    "list-column-only": (-0.42, 0.00),
    "hunks": (-0.35, 0.00),
    "added": (-0.28, 0.00),
    "removed": (0.14, 0.00),
    "prefix-share": (0.64, 0.00),
    "suffix-lost": (0.10, 0.00),
    "other-verb": (-1.09, 0.00),
    "concatenation": (0.16, 1.38),
    "function-at-slot": (0.54, 0.00),
    "sub-select-at-slot": (1.11, 0.00),
    "all-known-site": (-0.96, 0.00),
    "all-known-resource": (-1.59, 0.00),
    "constant-arithmetic": (2.61, 0.80),
    "expression-in-list": (0.22, 0.00),
    "slot-changed": (0.79, 0.00),
    "after-slot-unknown": (0.39, 0.00),
    "or-first": (2.56, 0.00),
    "write-added": (3.85, 0.00),
    "set-operation-after-slot": (2.17, 0.00),
    "sub-select-in-order": (2.92, 0.00),
    "grammar-query-after-value": (3.00, 4.52),
    "grammar-values-adjacent": (1.12, 4.96),
    "grammar-operand-missing": (0.09, 2.35),
    "grammar-clause-out-of-order": (2.32, 2.91),
    "grammar-comparison-chained": (2.55, 4.14),
    "grammar-condition-in-values": (0.62, 4.09),
    "grammar-set-operation-misplaced": (3.05, 4.51),
    "grammar-constant-row-appended": (1.55, 1.80),
    "grammar-call-compared-with-itself": (2.00, 3.01),
    "grammar-or-constant": (2.10, 3.01),
    "sign-comment-tail": (0.27, 4.78),
    "sign-tautology": (0.03, 4.42),
    "sign-union-appended": (0.05, 3.23),
    "sign-stacked": (0.00, 3.25),
    "sign-time-delay": (0.11, 4.60),
    "sign-catalogue": (0.02, 2.49),
    "sign-encoded-string": (0.09, 2.61),
    "sign-unbalanced-quote": (0.40, 3.84),
    "sign-file-access": (0.01, 4.28),
    "sign-program": (0.00, 4.40),
    "sign-error-based": (0.09, 4.41),
    "sign-version-probe": (0.14, 2.12),
    "sign-conditional": (0.01, 2.70),
    "sign-executable-comment": (0.04, 3.21),
    "sign-odd-spacing": (0.03, 2.10),
    "sign-weight": (0.89, 0.00),
    "sign-enough": (0.48, 0.00),
    "two-signs": (0.16, 0.17),
    "constant-alternative": (0.06, 2.01),
    "known-elsewhere": (-0.02, 0.00),
    "elsewhere-x-unknown": (-0.66, 0.00),
    "slot-x-case": (0.38, 0.00),
    "slot-x-constant-comparison": (1.71, 0.00),
    "slot-x-new-table-resource": (0.46, 0.00),
    "slot-x-new-function-site": (0.19, 0.00),
    "slot-x-prefix-share": (1.47, 0.00),
    "slot-x-or-first": (0.63, 0.00),
    "slot-x-set-operation-after-slot": (0.24, 0.00),
}
"""By signal: the weight where the call site is known, and where nothing is."""
KNOWN_BIAS: Final = -2.03
COLD_BIAS: Final = -3.97

_BY_SIGNAL = np.array([WEIGHTS.get(signal, (0.0, 0.0)) for signal in SIGNALS])
KNOWN: Final = np.ascontiguousarray(_BY_SIGNAL[:, 0])
COLD: Final = np.ascontiguousarray(_BY_SIGNAL[:, 1])
