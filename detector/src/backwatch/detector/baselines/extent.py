"""The range of values seen so far, and the distance of a new value from it.

The simplest of detectors, and a hard one to beat: on seasonal series, where a level always lags, it stays silent as
long as the day repeats itself.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.level import FLOOR
from backwatch.detector.kernels.compiled import kernel

MAX_WIDENING: Final = 14.0
"""Maximum widening of the range: a tenth of it is a factor of four."""
EXTENT: Final = np.dtype([("low", "<f4"), ("high", "<f4")])
"""One range: 8 bytes. Its owner tracks whether it was started."""


@kernel
def start_range(row: Any, x: float) -> None:
    """Start the range with this value alone."""
    row["low"] = x
    row["high"] = x


@kernel
def extend_range(row: Any, x: float) -> None:
    """Extend the range to this value."""
    row["low"] = min(row["low"], x)
    row["high"] = max(row["high"], x)


@kernel
def damped_distance_outside(row: Any, x: float) -> float:
    """Return a damped distance outside: where values differ more than tenfold already, one must be farther out.

    Where they differ two hundredfold, as between a page by day and a batch by night, a tenth of the width is four times
        the largest value: the monthly report is no surprise beside a nightly batch.
    """
    width = max(float(row["high"]) - float(row["low"]), FLOOR)
    wider = max(width, min(width * width / 2.0, MAX_WIDENING))
    return distance_outside(row, x) * width / wider


@kernel
def distance_outside(row: Any, x: float) -> float:
    """Return the distance outside the range, in widths of it; negative: below."""
    low, high = float(row["low"]), float(row["high"])
    x = float(np.float32(x))  # as the range was stored: the same value again is not outside
    width = max(high - low, FLOOR)
    return (x - high) / width if x > high else min(x - low, 0.0) / width
