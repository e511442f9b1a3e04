"""The usual level of a number: a robust adaptive location and its spread.

Everything is on the scale of ``log1p(x)``, where twice as much is the same step for bytes, rows and calls.

- The **level** is a Huber location (P. J. Huber, Ann. Math. Statist. 35(1), 1964) with weight ``WEIGHT``: no single
  value moves it by more than ``CLIP`` deviations.
- The **spread** is the median absolute departure. It follows by stochastic approximation of a quantile (H. Robbins, S.
  Monro, Ann. Math. Statist. 22(3), 1951): a fifth of bad values at the start moves it little, where a variance would
  explode.

A number may have two usual sizes: one row by day, all of them by night. So a row remembers the first value of a day
beyond the bound, and its hour. ``update_daily`` takes one up to 1.5 times as large at that hour of a later day as
usual, and keeps the first one: sizes that grow daily leave it soon. A day that has such values at other
hours, too, counts as one beyond the bound.

Values whose score reaches ``SCORE_BOUND`` are not learnt. After ``RELEARN_DAYS`` distinct days with such values, they
are the new usual, and the row restarts with the last of them: a nightly batch must be within the known range by its
next run. The result does not depend on batches: values are processed one by one, in order.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel

LEVEL: Final = np.dtype([
    ("level", "<f4"), ("spread", "<f4"), ("count", "u1"), ("over", "u1"), ("over_days", "u1"), ("over_day", "u1"),
])  # fmt: skip
"""One baseline: 12 bytes. ``over_days`` holds in its lower three bits on how many days there were values beyond the
bound, above them the hour of the last day's first one. ``over`` is that value, and a bit: it came on an earlier day.
``count`` has a bit, too: the last day with such values is counted."""

MIN_COUNT: Final = 30
"""Values learnt before there is a score."""
WEIGHT: Final = 0.02
CLIP: Final = 2.0
SCORE_BOUND: Final = 6.0
FLOOR: Final = 0.1
"""Minimum deviation: a tenth on the log scale. Less is rounding, not precision."""
RELEARN_DAYS: Final = 7
SECOND_SIZE: Final = 2.1
"""Distance of a second usual size while little is known: eight times."""
MAX_REPEATED_EXCESS: Final = 0.4
"""Maximum excess of a value that comes each day over the first one: 1.5 times."""
NORMAL: Final = 1.4826
"""Standard deviations per median absolute deviation, for a normal distribution."""
_HOUR_NS = 3_600 * 1_000_000_000
_DAY_NS = 24 * _HOUR_NS
_DAYS_MASK = 7
_REPEATED = 128
_MAX_COUNT = 127
_COUNTED = 128
_OVER_STEPS = 5.0


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
def _days_since_over(row: Any, time_ns: int) -> int:
    """Return the days since the last value beyond the bound, modulo 256; 0 also for a late call of an earlier day."""
    gap = (((time_ns // _DAY_NS) & 0xFF) - int(row["over_day"])) & 0xFF
    return 0 if gap > 0xFF - RELEARN_DAYS else gap


@kernel
def _count_day_over(row: Any, time_ns: int) -> bool:
    """Count the days with values beyond the bound; return whether that is the new usual."""
    over, gap = int(row["over_days"]), _days_since_over(row, time_ns)
    days = over & _DAYS_MASK
    if days > 0 and gap == 0 and row["count"] & _COUNTED != 0:
        return days >= RELEARN_DAYS
    days = 1 if days == 0 or gap > RELEARN_DAYS else min(days + 1, _DAYS_MASK)
    row["over_days"] = (over & ~_DAYS_MASK) | days
    row["over_day"] = (time_ns // _DAY_NS) & 0xFF
    row["count"] |= _COUNTED
    return days >= RELEARN_DAYS


@kernel
def _repeats(row: Any, x: float, time_ns: int) -> bool:
    """Return whether a value like this one came at its hour of an earlier day; note the largest of a first day."""
    hour = (time_ns % _DAY_NS) // _HOUR_NS
    over, days, gap = int(row["over"]), int(row["over_days"]) & _DAYS_MASK, _days_since_over(row, time_ns)
    apart = abs(hour - (int(row["over_days"]) >> 3))
    is_larger = x > (over & ~_REPEATED) / _OVER_STEPS + MAX_REPEATED_EXCESS
    near = days > 0 and min(apart, 24 - apart) <= 1 and not is_larger
    if days > 0 and gap == 0 and (over & _REPEATED != 0 or not is_larger):
        return near and over & _REPEATED != 0
    near = near and gap <= RELEARN_DAYS
    if near:  # a second usual size is no change of the first, unless it came at other hours of the last day, too
        row["over"] = over | _REPEATED
        row["over_days"] = (days if row["count"] & _COUNTED != 0 else 1) | hour << 3
        row["over_day"] = (time_ns // _DAY_NS) & 0xFF
        row["count"] &= _MAX_COUNT
    else:
        row["over"] = int(min(x, 25.2) * _OVER_STEPS + 0.5)
        row["over_days"] = days | hour << 3
    return near


@kernel
def update_daily(rows: Any, k: int, x: float, time_ns: int, learn: bool) -> float:
    """Score one value as ``update`` does, but as usual where one like it came at this hour of an earlier day."""
    row = rows[k]
    ready, is_first = row["count"] & _MAX_COUNT >= MIN_COUNT, row["count"] == 0
    if learn and is_first:  # it may prove to be the larger one of two sizes
        _start(row, x)
    bound = SCORE_BOUND * max(NORMAL * row["spread"], FLOOR) if ready else SECOND_SIZE
    if learn and (is_first or x - row["level"] >= bound):
        if _repeats(row, x, time_ns):
            return 0.0 if ready else np.nan
        if not ready:
            _count_day_over(row, time_ns)
    return np.nan if is_first else update(rows, k, x, time_ns, learn)


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
    count = int(row["count"]) & _MAX_COUNT
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
            row["count"] = min(count + 1, _MAX_COUNT) | (int(row["count"]) & _COUNTED)
    return score if ready else np.nan


def migrate_levels(rows: Any) -> Any:
    """Return rows of version 1, which counted further and remembered no second size, as ``LEVEL`` rows."""
    fresh: Any = np.zeros(rows.shape, LEVEL)
    for name in ("level", "spread", "over_day"):
        fresh[name] = rows[name]
    fresh["count"] = np.minimum(rows["count"], _MAX_COUNT)
    fresh["over_days"] = np.minimum(rows["over_days"], _DAYS_MASK)
    return fresh
