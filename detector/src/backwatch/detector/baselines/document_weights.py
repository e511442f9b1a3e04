"""Log odds of injection signs in statements that are no SQL.

There are too few open data of such attacks to fit them: a sign that needs code or an operator in the place of a value
suffices alone, one of a statement's effect does not. ``bench/nosql_quality`` measures them.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from backwatch.collector import names
from backwatch.detector.kernels.compiled import kernel

WEIGHTS: Final[Mapping[str, float]] = {
    "operator-for-value": 5.0, "tautology": 5.0, "comment-tail": 5.0, "time-delay": 5.0, "program": 5.0,
    "stacked": 4.8, "unbalanced-quote": 4.6, "conditional": 4.6, "file-access": 4.6, "union-appended": 4.6,
    "error-based": 4.6, "executable-comment": 4.6, "request-input": 2.5, "catalogue": 2.5, "encoded-string": 2.5,
    "version-probe": 2.0, "odd-spacing": 1.5, "cut": 0.0,
}  # fmt: skip
BIAS: Final = -4.0
SIGN_LOG_ODDS: Final = np.array([WEIGHTS[sign] for sign in names.SIGNS])


@kernel
def sign_log_odds(signs: int) -> float:
    """Return the log odds that the signs of a statement give, when nothing else is known of it.

    >>> sign_log_odds(0) == BIAS, sign_log_odds(1 << names.SIGNS.index("operator-for-value"))
    (True, 1.0)
    """
    total = BIAS
    for k in range(SIGN_LOG_ODDS.shape[0]):
        if (signs >> k) & 1:
            total += SIGN_LOG_ODDS[k]
    return total
