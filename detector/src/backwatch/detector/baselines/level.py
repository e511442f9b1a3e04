"""The usual level of a number: a robust adaptive location and its spread.

Everything is on the scale of ``log1p(x)``, where twice as much is the same step for bytes, rows and calls.

- The **level** is a Huber location (P. J. Huber, Ann. Math. Statist. 35(1), 1964) with weight ``WEIGHT``: no single
  value moves it by more than ``CLIP`` deviations.
- The **spread** is the median absolute departure. It follows by stochastic approximation of a quantile (H. Robbins, S.
  Monro, Ann. Math. Statist. 22(3), 1951): a fifth of bad values at the start moves it little, where a variance would
  explode.

Values whose score reaches ``SCORE_BOUND`` are not learnt. After ``RELEARN_DAYS`` distinct days with such values, they
are the new usual, and the row restarts with the last of them: a nightly batch must be within the known range by its
next run. The result does not depend on batches: values are processed one by one, in order.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel

LEVEL: Final = np.dtype([
    ("level", "<f4"), ("spread", "<f4"), ("count", "<u2"), ("over_days", "u1"), ("over_day", "u1"),
])  # fmt: skip
"""One baseline: 12 bytes."""

MIN_COUNT: Final = 30
"""Values learnt before there is a score."""
WEIGHT: Final = 0.02
CLIP: Final = 2.0
SCORE_BOUND: Final = 6.0
FLOOR: Final = 0.1
"""Minimum deviation: a tenth on the log scale. Less is rounding, not precision."""
RELEARN_DAYS: Final = 7
NORMAL: Final = 1.4826
"""Standard deviations per median absolute deviation, for a normal distribution."""
_DAY_NS = 86_400 * 1_000_000_000


@kernel
def _follow(level: float, spread: float, x: float, weight: float) -> tuple[float, float]:
    """Update a location and its median absolute departure by one value."""
    departure = x - level
    most = CLIP * max(NORMAL * spread, FLOOR)
    level += weight * min(max(departure, -most), most)
    gain = min(0.5, weight)
    spread *= 1.0 + gain if abs(departure) > spread else 1.0 - gain
    return level, min(max(spread, 1e-3), 20.0)


@kernel
def _start(row: Any, x: float) -> None:
    """Start the row with this value alone."""
    row["level"] = x
    row["spread"] = 1.0
    row["count"] = 1
    row["over_days"] = 0


@kernel
def _count_day_over(row: Any, time_ns: int) -> bool:
    """Count the days with values beyond the bound; return whether that is the new usual."""
    day = (time_ns // _DAY_NS) & 0xFF
    gap = (day - row["over_day"]) & 0xFF
    if row["over_days"] > 0 and gap > 0xFF - RELEARN_DAYS:
        return row["over_days"] >= RELEARN_DAYS  # a late call of an earlier day
    if row["over_days"] == 0 or gap > RELEARN_DAYS:
        row["over_days"] = 1
    elif gap > 0:
        row["over_days"] += 1
    row["over_day"] = day
    return row["over_days"] >= RELEARN_DAYS


@kernel
def update(rows: Any, k: int, x: float, time_ns: int, learn: bool) -> float:
    """Score one value, then learn from it.

    Args:
        rows: Array of ``LEVEL`` rows.
        x: On the scale of ``log1p``.
        learn: Whether to learn from the value.


    Returns:
        Deviations above (below: negative) the level; NaN until ``MIN_COUNT`` values are learnt.
    """
    row = rows[k]
    count = int(row["count"])
    if count == 0:
        if learn:
            _start(row, x)
        return np.nan
    level, spread = float(row["level"]), float(row["spread"])
    score = (x - level) / max(NORMAL * spread, FLOOR)
    ready = count >= MIN_COUNT
    if learn:
        if ready and abs(score) >= SCORE_BOUND:
            if _count_day_over(row, time_ns):
                _start(row, x)
        else:
            row["level"], row["spread"] = _follow(level, spread, x, max(WEIGHT, 1.0 / (count + 1)))
            row["count"] = min(count + 1, 65_535)
    return score if ready else np.nan
