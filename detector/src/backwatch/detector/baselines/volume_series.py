"""One series of amounts per interval: its unit, level, season, slow reference and the statistics over its last values.

The scale is ``asinh(amount / unit)``: a logarithm for what is large, linear around zero, the same for bytes, rows and
calls. The unit is the median of the first ``WARM_COUNT`` amounts.

- The **season** is a profile by half hour of the day and one by three hours of the week (UTC). Each is used with the
  share that it has *earned*: the causal regression of the values on their own forecast, 0 where there is no season.
- The **residual** is what level and season do not explain.
- A **rise** is a mean of the last values (``RISE_SPANS``) above the highest that it was some time ago
  (``RISE_DELAYS``): a ramp follows so closely on its own last record that it never leaves it by much.
- The **slow reference** moves by at most ``MAX_REFERENCE_STEP / count`` per value. If the slowest of those means has
  left it by ``DRIFT_BOUND``, that is a drift, however slow: a ramp that trains every level, range and season trains
  the reference last.

Time is event time, and one that goes backwards counts as no time. All gains with a time in them are shares of the
slot that has passed, so a series by the minute and one by the half hour learn alike.
"""

import math
from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import Array, inline, kernel

WARM_COUNT: Final = 30
"""Amounts before the first score; they also set the unit."""
STATISTICS: Final = 6
DAY_SLOTS: Final = 48
WEEK_SLOTS: Final = 56
RECENT: Final = 36
"""Residuals that are kept, for the sliding minima and maxima."""
BLOCK: Final = 12
BLOCKS: Final = 24
LONG: Final = BLOCK * BLOCKS
"""Values of the longest window, in blocks that each keep their third least residual."""

RISE_SPANS: Final = (4.0, 64.0, 1_024.0)
RISE_DELAYS: Final = (64, 512, 1_024)
"""Values after which a mean's highest counts; at least so many, at most twice as many."""
RISE_BOUNDS: Final = (0.4, 0.5, 0.4)
RISE_SHARES: Final = (0.3, 0.5, 0.3)
"""What a rise must exceed on the log scale, and as a share of the highest's own height above the level."""
FASTEST_CALM_BOUND: Final = 0.25
CALM_SIZES: Final = 2.5
"""A calm series needs less of a rise of its fastest mean: so many of its usual departures, and at least the bound."""
RISES: Final = len(RISE_SPANS)
UNSEEN: Final = -1e9

SERIES: Final = np.dtype([
    ("last_ns", "<i8"), ("count", "<u4"), ("unit", "<f4"), ("age_days", "<f4"), ("level", "<f4"),
    ("day_product", "<f4"), ("day_square", "<f4"), ("week_product", "<f4"), ("week_square", "<f4"),
    ("reference", "<f4"), ("peak", "<f4"), ("long", "<f4"), ("episodes", "<f4"), ("days", "<f4"),
    ("high", "<f4", (STATISTICS,)), ("quantile", "<f4", (STATISTICS,)), ("excess", "<f4", (STATISTICS,)),
    ("size", "<f4", (STATISTICS,)), ("rise_mean", "<f4", (RISES,)), ("rise_high", "<f4", (RISES,)),
    ("rise_waiting", "<f4", (RISES,)), ("rise_lately", "<f4", (RISES,)),
    ("recent", "<i2", (RECENT,)), ("blocks", "<i2", (BLOCKS,)), ("day", "<i2", (DAY_SLOTS,)),
    ("week", "<i2", (WEEK_SLOTS,)),
])  # fmt: skip
"""One series: 532 bytes."""

FORGETTING_DAYS: Final = 7.0
MAX_FORGETTING: Final = 1 / 2_000
"""What the regressions forget per value: a week, or 2,000 values if that is longer."""
LEVEL_GAIN: Final = 1e-4
DAY_GAIN: Final = 0.15
FIRST_WEEK_DAYS: Final = 1.0
"""Age from which on the profile of the week learns: before, it would learn the day's season a second time."""
WEEK_GAIN: Final = 0.08
MAX_REFERENCE_STEP: Final = 0.05
MAX_REFERENCE_COUNT: Final = 65_536
MAX_GAP_DAYS: Final = 7.0
"""What a gap counts at most: a series that was not seen for months has learnt nothing in them."""
DRIFT_BOUND: Final = 0.6
"""On the log scale: 1.8 times. Ordinary series that double within weeks stay below; what triples does not."""
_DAY_NS: Final = 86_400 * 10**9
_WEEK_NS: Final = 7 * _DAY_NS
_FIXED: Final = 2_048.0
"""Residuals and profiles are kept as multiples of this one's inverse."""
_WARM_STEPS: Final = 128.0
_WARM_ZERO: Final = 64.0


@inline
def _to_fixed(x: float) -> int:
    return round(min(max(x, -15.9), 15.9) * _FIXED)


@inline
def _to_warm(amount: float) -> int:
    """Return an amount as 16 bits: its sign and its binary logarithm, to half a percent."""
    if amount == 0.0:
        return 0
    steps = round((min(max(math.log2(abs(amount)), -63.0), 190.0) + _WARM_ZERO) * _WARM_STEPS)
    return steps if amount > 0.0 else -steps


@inline
def _from_warm(code: int) -> float:
    if code == 0:
        return 0.0
    amount = 2.0 ** (abs(code) / _WARM_STEPS - _WARM_ZERO)
    return amount if code > 0 else -amount


@inline
def share_earned(product: float, square: float) -> float:
    """Return the share of a profile that its own forecasts have earned, from 0 to 1."""
    return min(max(product / (square + 1.0), 0.0), 1.0)


@kernel
def forecast(row: Any, time_ns: int) -> tuple[float, float, float, float]:
    """Return both profiles at this time, and the shares that they have earned."""
    at = (time_ns % _DAY_NS) / _DAY_NS * DAY_SLOTS - 0.5  # between the middles of two slots
    left = int(math.floor(at))  # noqa: RUF046  a float in compiled code
    part = at - left
    day = (row["day"][left % DAY_SLOTS] * (1.0 - part) + row["day"][(left + 1) % DAY_SLOTS] * part) / _FIXED
    week = row["week"][(time_ns % _WEEK_NS) * WEEK_SLOTS // _WEEK_NS] / _FIXED
    return (
        day, share_earned(row["day_product"], row["day_square"]),
        week, share_earned(row["week_product"], row["week_square"]),
    )  # fmt: skip


@kernel
def usual_amount(row: Any, time_ns: int) -> float:
    """Return the amount that level and season make usual at this time."""
    day, day_share, week, week_share = forecast(row, time_ns)
    return math.sinh(row["level"] + day_share * day + week_share * week) * row["unit"]


@kernel
def advance_clock(row: Any, time_ns: int) -> float:
    """Return the days since the last value, 0 if the clock went back, and note the time."""
    if row["count"] == 0:
        row["last_ns"] = time_ns
    days = min(max(time_ns - row["last_ns"], 0) / _DAY_NS, MAX_GAP_DAYS)
    row["last_ns"] = max(row["last_ns"], time_ns)
    row["age_days"] += days
    return days


@kernel
def keep_residual(row: Any, residual: float, i: int) -> None:
    """Keep the ``i``-th residual; a block that is full keeps its third least."""
    row["recent"][i % RECENT] = _to_fixed(residual)
    if i % BLOCK != BLOCK - 1:
        return
    first = second = third = 32_767
    for j in range(BLOCK):
        value = row["recent"][(i - j) % RECENT]
        if value < first:
            first, second, third = value, first, second
        elif value < second:
            second, third = value, second
        elif value < third:
            third = value
    row["blocks"][(i // BLOCK) % BLOCKS] = third
    if i >= LONG - 1:
        row["long"] = np.sort(row["blocks"])[BLOCKS // 2] / _FIXED


@kernel
def measure(row: Any, away: float, i: int, out: Array) -> None:
    """Write the statistics of the last values: each is large where there is something to see.

    In order: the departure from the level, upwards and downwards; the least residual of the last 6 and 16 values
    (everything lately was above the season's level: no freak value can raise it); the greatest of the last 36,
    downwards; and the median over blocks of their third least, about the lower quartile of the last 288 values.
    """
    recent, at = row["recent"], i % RECENT
    least = most = recent[at]
    for j in range(1, RECENT):
        at = at - 1 if at else RECENT - 1
        value = recent[at]
        if j < 16:
            least = min(least, value)
            if j == 5:
                out[2] = least / _FIXED
        most = max(most, value)
    out[0], out[1], out[3], out[4], out[5] = away, -away, least / _FIXED, -most / _FIXED, row["long"]


@kernel
def learn_season(row: Any, away: float, time_ns: int, days: float, i: int) -> None:
    """Let level, profiles and their shares learn the ``i``-th departure from the level."""
    day, day_share, week, week_share = forecast(row, time_ns)
    without_day = away - day_share * day
    residual = without_day - week_share * week
    row["level"] += max(LEVEL_GAIN, 1.0 / (i + 1)) * (residual if i > WARM_COUNT else away)
    forgetting = min(MAX_FORGETTING, days / FORGETTING_DAYS)
    row["day_product"] += away * day - forgetting * row["day_product"]
    row["day_square"] += day * day - forgetting * row["day_square"]
    row["week_product"] += without_day * week - forgetting * row["week_product"]
    row["week_square"] += week * week - forgetting * row["week_square"]
    slot = (time_ns % _DAY_NS) * DAY_SLOTS // _DAY_NS
    now = row["day"][slot] / _FIXED
    young = 1.0 / (1.0 + row["age_days"])  # the first days count in full
    gain = min(max(DAY_GAIN, young), days * DAY_SLOTS * max(1.0, 3.0 * young))
    row["day"][slot] = _to_fixed(now + gain * (residual + day_share * day + week_share * week - now))
    if row["age_days"] < FIRST_WEEK_DAYS:
        return
    slot = (time_ns % _WEEK_NS) * WEEK_SLOTS // _WEEK_NS
    row["week"][slot] = _to_fixed(week + min(WEEK_GAIN, days * WEEK_SLOTS / 7.0) * (without_day - week))


@kernel
def follow_rise(row: Any, j: int, y: float, i: int) -> float:
    """Learn the ``i``-th value; return how far its ``j``-th mean has risen beyond the bound, else 0."""
    span, delay = RISE_SPANS[j], RISE_DELAYS[j]
    mean = row["rise_mean"][j] + max(1.0 / span, 1.0 / (i + 1)) * (y - row["rise_mean"][j])
    row["rise_mean"][j] = mean
    if i == 0:
        row["rise_high"][j] = row["rise_waiting"][j] = row["rise_lately"][j] = UNSEEN
    if i < max(span, WARM_COUNT):
        return 0.0
    found, high = 0.0, row["rise_high"][j]
    if high > UNSEEN:
        rise = mean - high
        bound = RISE_BOUNDS[j]
        if j == 0:
            bound = min(bound, max(FASTEST_CALM_BOUND, CALM_SIZES * row["size"][0]))
        if rise >= max(bound, RISE_SHARES[j] * (high - row["level"])):
            found = rise
            row["rise_high"][j] = mean  # from here on it must rise anew
            row["rise_waiting"][j] = row["rise_lately"][j] = UNSEEN
    if i % delay == 0:
        row["rise_high"][j] = max(row["rise_high"][j], row["rise_waiting"][j])
        row["rise_waiting"][j], row["rise_lately"][j] = row["rise_lately"][j], UNSEEN
    row["rise_lately"][j] = max(row["rise_lately"][j], mean)
    return found


@kernel
def follow_reference(row: Any, i: int) -> float:
    """Let the slow reference follow; return how far the slowest mean has left it, 0 below the bound."""
    mean = row["rise_mean"][RISES - 1]
    if i < RISE_SPANS[RISES - 1]:
        row["reference"] = mean
        return 0.0
    drift = mean - row["reference"]
    if drift >= DRIFT_BOUND:
        row["reference"] = mean
        return drift
    step = min(max(drift, -8.0 * MAX_REFERENCE_STEP), MAX_REFERENCE_STEP)
    row["reference"] += step / min(i + 1, MAX_REFERENCE_COUNT)
    return 0.0


@kernel
def set_unit(row: Any, last: float) -> None:
    """Set the unit from the first amounts, of which this is the last."""
    sizes = np.empty(WARM_COUNT, np.float64)
    for j in range(WARM_COUNT - 1):
        sizes[j] = abs(_from_warm(row["recent"][j]))
    sizes[WARM_COUNT - 1] = abs(_from_warm(_to_warm(last)))
    unit = np.sort(sizes)[WARM_COUNT // 2]
    row["unit"] = unit if unit > 0.0 else 1.0


@kernel
def keep_first(row: Any, amount: float, i: int) -> None:
    """Keep one of the first amounts until they set the unit."""
    row["recent"][i] = _to_warm(amount)


@kernel
def first_amount(row: Any, i: int) -> float:
    """Return a kept first amount."""
    return _from_warm(row["recent"][i])
