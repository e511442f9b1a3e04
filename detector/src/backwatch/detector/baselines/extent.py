"""The range of values seen so far, and how far outside of it a new one falls.

The plainest of detectors, and a hard one to beat: on seasonal series, where a level is always late, it stays silent as
long as the day repeats itself.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.level import FLOOR
from backwatch.detector.kernels.compiled import kernel

MOST_ASKED: Final = 14.0
"""Widths that are asked for at most: of which a tenth is a factor of four."""
EXTENT: Final = np.dtype([("low", "<f4"), ("high", "<f4")])
"""One range: 8 bytes. Whoever keeps it knows whether it was begun."""


@kernel
def begin(row: Any, x: float) -> None:
    """The range is this value alone."""
    row["low"] = x
    row["high"] = x


@kernel
def extend(row: Any, x: float) -> None:
    """The value belongs to the range from now on."""
    row["low"] = min(row["low"], x)
    row["high"] = max(row["high"], x)


@kernel
def far_outside(row: Any, x: float) -> float:
    """As :func:`outside`, but where values differ more than tenfold already, more is asked of one beyond all of them.

    Where they differ two hundredfold, as between a page by day and a batch by night, a tenth of it is four times the
    largest value: the month's report is no surprise beside each night's batch.
    """
    width = max(float(row["high"]) - float(row["low"]), FLOOR)
    wider = max(width, min(width * width / 2.0, MOST_ASKED))
    return outside(row, x) * width / wider


@kernel
def outside(row: Any, x: float) -> float:
    """How far outside the range, in widths of it; negative: below."""
    low, high = float(row["low"]), float(row["high"])
    x = float(np.float32(x))  # as the range was stored: the same value again is not outside
    width = max(high - low, FLOOR)
    return (x - high) / width if x > high else min(x - low, 0.0) / width
