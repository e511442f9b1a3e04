"""Weights of the signals of ``injection.py``, in log odds.

Written by ``bench/query_weights``: two logistic regressions with signs that the meaning of a signal fixes, drawn to
expert values where the data say little. The first judges statements at call sites whose statements are known, the
second knows nothing of the app.
"""

from typing import Final

import numpy as np

from backwatch.detector.baselines.injection import SIGNALS

WEIGHTS: Final[dict[str, tuple[float, float]]] = {
    "at-slot": (1.11, 0.00),
    "slot-replaced": (1.47, 0.00),
    "after-slot": (0.04, 0.00),
    "set-operation": (0.00, 0.27),
    "sub-select": (0.99, 0.00),
    "with": (1.03, 0.00),
    "stacked": (2.02, 0.06),
    "case": (0.41, 0.00),
    "or-added": (0.34, 0.00),
    "and-added": (-1.17, 0.00),
    "constant-condition": (0.65, 0.45),
    "constant-comparison": (2.81, 2.86),
    "self-comparison": (0.72, 0.00),
    "column-for-value": (0.65, 0.00),
    "new-table-resource": (1.07, 0.00),
    "tail-lost": (0.17, 0.00),
    "unbalanced": (2.27, 2.63),
    "odd-adjacency": (1.03, 0.00),
    "list-column-only": (-0.38, 0.00),
    "hunks": (-0.27, 0.00),
    "added": (-0.21, 0.00),
    "removed": (0.15, 0.00),
    "prefix-share": (0.56, 0.00),
    "suffix-lost": (0.11, 0.00),
    "other-verb": (-1.15, 0.00),
    "concatenation": (0.15, 1.38),
    "function-at-slot": (0.67, 0.00),
    "sub-select-at-slot": (1.13, 0.00),
    "all-known-site": (-0.99, 0.00),
    "all-known-resource": (-1.61, 0.00),
    "off-slot": (-0.11, 0.00),
    "constant-arithmetic": (2.62, 0.80),
    "expression-in-list": (0.17, 0.00),
    "slot-changed": (0.68, 0.00),
    "after-slot-unknown": (0.38, 0.00),
    "or-first": (2.68, 0.00),
    "write-added": (3.81, 0.00),
    "set-operation-after-slot": (2.18, 0.00),
    "grammar-query-after-value": (2.95, 4.52),
    "grammar-values-adjacent": (1.34, 4.96),
    "grammar-operand-missing": (0.03, 2.35),
    "grammar-clause-out-of-order": (2.30, 2.91),
    "grammar-comparison-chained": (2.56, 4.14),
    "grammar-condition-in-values": (0.74, 4.09),
    "grammar-set-operation-misplaced": (3.05, 4.51),
    "grammar-constant-row-appended": (1.56, 1.80),
    "grammar-call-compared-with-itself": (2.00, 3.01),
    "grammar-or-constant": (2.09, 3.01),
    "sign-comment-tail": (0.28, 4.78),
    "sign-tautology": (0.02, 4.40),
    "sign-union-appended": (0.05, 3.23),
    "sign-stacked": (0.00, 3.25),
    "sign-time-delay": (0.11, 4.60),
    "sign-catalogue": (0.02, 2.49),
    "sign-encoded-string": (0.07, 2.61),
    "sign-unbalanced-quote": (0.47, 3.85),
    "sign-file-access": (0.04, 4.28),
    "sign-program": (0.00, 4.40),
    "sign-error-based": (0.05, 4.41),
    "sign-version-probe": (0.11, 2.12),
    "sign-conditional": (0.01, 2.70),
    "sign-executable-comment": (0.02, 3.21),
    "sign-odd-spacing": (0.02, 2.09),
    "sign-weight": (0.98, 0.00),
    "sign-enough": (0.50, 0.00),
    "two-signs": (0.11, 0.17),
    "constant-alternative": (0.02, 2.02),
    "known-elsewhere": (-0.02, 0.00),
    "elsewhere-x-unknown": (-0.67, 0.00),
    "slot-x-case": (0.34, 0.00),
    "slot-x-constant-comparison": (1.69, 0.00),
    "slot-x-new-table-resource": (0.44, 0.00),
    "slot-x-new-function-site": (0.22, 0.00),
    "slot-x-hunks": (-0.01, 0.00),
    "slot-x-prefix-share": (1.43, 0.00),
    "slot-x-or-first": (0.64, 0.00),
    "slot-x-set-operation-after-slot": (0.21, 0.00),
}
"""By signal: the weight where the call site is known, and where nothing is."""
KNOWN_BIAS: Final = -2.23
COLD_BIAS: Final = -3.98

_BY_SIGNAL = np.array([WEIGHTS.get(signal, (0.0, 0.0)) for signal in SIGNALS])
KNOWN: Final = np.ascontiguousarray(_BY_SIGNAL[:, 0])
COLD: Final = np.ascontiguousarray(_BY_SIGNAL[:, 1])
