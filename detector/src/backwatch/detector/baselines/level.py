"""What a number usually is: a robust adaptive level, a slow reference beside it, and the sum of departures from that.

Everything is on the scale of ``log1p(x)``, where twice as much is the same step for bytes, rows and calls.

- The **level** is a Huber location (P. J. Huber, Ann. Math. Statist. 35(1), 1964) followed with weight ``WEIGHT``: no
  single
  value moves it by more than ``CLIP`` deviations.
- The **spread** is the median absolute departure, followed by stochastic approximation of a quantile (H. Robbins, S.
  Monro,
  Ann. Math. Statist. 22(3), 1951): a fifth of bad values at the start moves it little, where a variance would explode.
- The **anchor** and its spread are the same with weight ``SLOW``. **Drift** is the cumulative sum of departures from
  the
  anchor beyond an allowance (E. S. Page, Biometrika 41, 1954): whoever ramps up by one in a hundred a step trains the
  level, and a self-updating mean alone never notices; the anchor stays behind and the sum grows.

Values at which the score reaches ``BOUND`` do not teach. Seen on ``RELEARN_DAYS`` distinct days they are the new
usual, and the row starts anew with the one that was the last of them: a batch that runs each night must be within what
is known by the next one. The same whatever the batch: one value after the other, in order.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import Array, kernel

LEVEL: Final = np.dtype([
    ("level", "<f4"), ("spread", "<f4"), ("anchor", "<f4"), ("anchor_spread", "<f4"), ("drift", "<f4"),
    ("count", "<u2"), ("over_days", "u1"), ("over_day", "u1"),
])  # fmt: skip
"""One baseline: 24 bytes."""

MIN_COUNT: Final = 30
"""Values learnt before a score is told."""
WEIGHT: Final = 0.02
SLOW: Final = 1 / 4_096
CLIP: Final = 2.0
BOUND: Final = 6.0
FLOOR: Final = 0.1
"""Least deviation: a tenth on the log scale. Steadier than that is rounding, not precision."""
ALLOWANCE: Final = 1.5
MOST_DRIFT: Final = 60.0
"""Where the sum stops: 24 values in a row far above the anchor get it there, and 40 ordinary ones back."""
RELEARN_DAYS: Final = 7
NORMAL: Final = 1.4826
"""Standard deviations per median absolute deviation, for a normal distribution."""
_DAY_NS = 86_400 * 1_000_000_000


@kernel
def _follow(level: float, spread: float, x: float, weight: float) -> tuple[float, float]:
    """A location and its median absolute departure, one value on."""
    departure = x - level
    most = CLIP * max(NORMAL * spread, FLOOR)
    level += weight * min(max(departure, -most), most)
    gain = min(0.5, weight)
    spread *= 1.0 + gain if abs(departure) > spread else 1.0 - gain
    return level, min(max(spread, 1e-3), 20.0)


@kernel
def _start(row: Any, x: float) -> None:
    """The row knows this value, and no other."""
    row["level"] = x
    row["anchor"] = x
    row["spread"] = 1.0
    row["anchor_spread"] = 1.0
    row["drift"] = 0.0
    row["count"] = 1
    row["over_days"] = 0


@kernel
def _over(row: Any, time_ns: int) -> bool:
    """Counts the days on which values were beyond the bound; true where that has become the new usual."""
    day = (time_ns // _DAY_NS) & 0xFF
    gap = (day - row["over_day"]) & 0xFF
    if row["over_days"] > 0 and gap > 0xFF - RELEARN_DAYS:
        return row["over_days"] >= RELEARN_DAYS  # a call that comes late, of a day before
    if row["over_days"] == 0 or gap > RELEARN_DAYS:
        row["over_days"] = 1
    elif gap > 0:
        row["over_days"] += 1
    row["over_day"] = day
    return row["over_days"] >= RELEARN_DAYS


@kernel
def update(rows: Any, k: int, x: float, time_ns: int, learn: bool) -> float:
    """Scores one value, then learns from it.

    Args:
        rows: Array of ``LEVEL`` rows.
        x: On the scale of ``log1p``.
        learn: Whether the value may teach.

    Returns:
        Deviations above (below: negative) the level; NaN until ``MIN_COUNT`` values are learnt.
    """
    row = rows[k]
    count = int(row["count"])
    if count == 0:
        if learn:
            _start(row, x)
        return np.nan
    level, spread, anchor, slow = (
        float(row["level"]),
        float(row["spread"]),
        float(row["anchor"]),
        float(row["anchor_spread"]),
    )
    score = (x - level) / max(NORMAL * spread, FLOOR)
    ready = count >= MIN_COUNT
    if learn:
        if ready:
            away = (x - anchor) / max(NORMAL * slow, FLOOR)
            row["drift"] = min(max(row["drift"] + min(max(away, -4.0), 4.0) - ALLOWANCE, 0.0), MOST_DRIFT)
        if ready and abs(score) >= BOUND:
            if _over(row, time_ns):
                _start(row, x)
        else:
            row["level"], row["spread"] = _follow(level, spread, x, max(WEIGHT, 1.0 / (count + 1)))
            row["anchor"], row["anchor_spread"] = _follow(anchor, slow, x, max(SLOW, 1.0 / (count + 1)))
            row["count"] = min(count + 1, 65_535)
    return score if ready else np.nan


def scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores of a whole series on a new row, every value allowed to teach.

    >>> usual = np.log1p(np.tile([90.0, 100.0, 110.0], 20))
    >>> found = scores(np.append(usual, np.log1p(1_000.0)))
    >>> bool(np.isnan(found[:30]).all()), bool(abs(found[30:60]).max() < 2), bool(found[60] > 6)
    (True, True, True)
    """
    out = np.empty(values.shape[0], np.float64)
    _series(np.zeros(1, LEVEL), values, out)
    return out


@kernel
def _series(rows: Any, values: Array, out: Array) -> None:
    for i in range(values.shape[0]):
        out[i] = update(rows, 0, values[i], 0, True)
