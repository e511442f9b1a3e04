"""Weights of injection signs as evidence of an attack, and the weight that suffices."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.kernels.compiled import kernel

WEIGHT_OF_SIGN: Final[Mapping[str, float]] = {
    "tautology": 3.0, "comment-tail": 3.0, "time-delay": 3.0, "error-based": 3.0, "file-access": 3.0,
    "program": 3.0,
    "unbalanced-quote": 2.5,
    "union-appended": 2.0, "stacked": 2.0, "executable-comment": 2.0,
    "catalogue": 1.5, "encoded-string": 1.5, "conditional": 1.5,
    "version-probe": 1.0, "odd-spacing": 1.0,
    "cut": 0.0,
    "request-input": 2.5,
    "operator-for-value": 3.0,
}  # fmt: skip
"""Weight by sign. Ordinary statements do not show those of 3; those above 2 only where they are broken, those of 2 in
scripts and derived tables, and the rest in tools that inspect the database itself."""
ATTACK_WEIGHT: Final = 3.0
"""Weight from which on a new statement counts as an attack, and does not become known by repetition."""

SIGN_WEIGHTS: Final[NDArray[np.float64]] = np.array([WEIGHT_OF_SIGN[sign] for sign in names.SIGNS], np.float64)
"""By index in ``names.SIGNS``: bit ``i`` of a call's signs weighs ``SIGN_WEIGHTS[i]``."""


@kernel
def weigh(signs: int, weight: NDArray[np.float64]) -> float:
    """Sum the weights of all signs.

    >>> weigh(0b11, SIGN_WEIGHTS)
    6.0
    """
    total = 0.0
    for i in range(weight.shape[0]):
        if (signs >> i) & 1:
            total += weight[i]
    return total
