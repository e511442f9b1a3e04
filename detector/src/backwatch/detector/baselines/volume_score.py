"""How often an amount like this is expected: the evidence of one series, on the scale of a rate.

Each statistic of :mod:`~backwatch.detector.baselines.volume_series` is judged against its own tail: its distance
beyond the highest seen, in mean excesses over its upper 2 % quantile (the scale of an exponential tail). The
**evidence** is the negative logarithm of a rate per day: how rarely so great an excess is met in series without
events, ``base + slope * sqrt(excess)``, fitted to pooled series of several kinds (``docs/adr/0032``). The strongest
statistic speaks. Records come with the inverse of a series' age, so a young series needs more.

Then the series corrects the pool: its own episodes of middling evidence are counted, and the rate is multiplied by the
ratio of those to the ones expected (a Gamma prior worth ``PRIOR_EPISODES``). A noisy series so raises its own
threshold, a calm one lowers it, and one stated number of false alarms per month holds for both.

Causal, streaming, the same for any batches. An episode is reported once: evidence counts only if it exceeds the
last peak, which fades, and by ``NEW_ALARM`` where that was an alarm itself.
"""

import math
from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.volume_series import (
    LONG,
    RISES,
    SERIES,
    STATISTICS,
    UNSEEN,
    WARM_COUNT,
    advance_clock,
    first_amount,
    follow_reference,
    follow_rise,
    forecast,
    keep_first,
    keep_residual,
    learn_season,
    measure,
    set_unit,
    usual_amount,
)
from backwatch.detector.kernels.compiled import Array, kernel

DAYS_PER_MONTH: Final = 30.44
FALSE_ALARMS_PER_MONTH: Final = 3.0
"""The budget of alerts: false alarms that are expected of one series in a month."""
REVIEW_ALARMS_PER_MONTH: Final = 30.0
"""The budget of a review, one a day: an operator looks through a recorded series, and a miss costs more than a look."""
SPANS: Final = (1.0, 1.0, 6.0, 16.0, 36.0, float(LONG))
"""Values in the window of each statistic: it counts from its first full window."""
BASES: Final = (0.1, 1.2, 0.2, 1.1, -0.4, 1.5)
SLOPES: Final = (1.2, 0.8, 1.2, 1.7, 3.2, 4.0)
RISE_EVIDENCE: Final = (3.2, 3.2)
"""Evidence of a rise of the two faster means: met as often, and in calm series not at all."""
NEAR_HIGHEST: Final = 0.2
"""Maximum distance below the highest of a value that carries a rise of the fastest mean."""
CLEAR_EXCESS: Final = 0.1
"""Excess from which on evidence counts in full: less is a record by a hair."""
TAIL: Final = 0.02
FOLLOWING: Final = 6e-4
FLOOR: Final = 0.1
LONG_FLOOR: Final = 0.03
"""Minimum size of a statistic: a tenth on the log scale, and less for the long window, whose noise is averaged."""
EXCESS_FLOOR: Final = 0.2
"""Minimum mean excess, in sizes of the statistic."""
HALF_LIFE: Final = 128.0
"""Values in which the last peak fades by half."""
NEW_ALARM: Final = 1.2
"""Evidence that another alarm needs beyond a peak that was one (``ALARM_PEAK``): 3.3 times as rare."""
ALARM_PEAK: Final = 2.5
YOUNG_DAYS: Final = 6.0
"""Age up to which records are more frequent than later: their rate falls with the inverse of the age."""
EPISODE: Final = 2.0
"""Evidence that counts as an episode of the series' own."""
EPISODES_PER_DAY: Final = 0.2
PRIOR_EPISODES: Final = 3.0
RATIO_RANGE: Final = (0.2, 8.0)
REMEMBERED_DAYS: Final = 60.0
MAX_AMOUNT: Final = 1e30
_FADING: Final = 0.5 ** (1.0 / HALF_LIFE)


@kernel
def _judge(row: Any, j: int, value: float, i: int, learn: bool) -> float:
    """Return the excess of one statistic over its own tail, which then learns it."""
    span = SPANS[j]
    quantile, excess, high = float(row["quantile"][j]), float(row["excess"][j]), float(row["high"][j])
    size, least = float(row["size"][j]), max(float(row["size"][j]), LONG_FLOOR if j == STATISTICS - 1 else FLOOR)
    found = 0.0
    if i >= max(WARM_COUNT, span):
        beyond = value - max(high, quantile)
        if beyond > 0.0:
            found = beyond / max(excess, EXCESS_FLOOR * least) * i / (i + 4.0 * span)
    if not learn:
        return found
    if i >= max(WARM_COUNT, span) / 2.0:
        row["high"][j] = max(high, value)
    following = max(FOLLOWING, 1.0 / (i + 1))
    step = 5.0 * following * least
    if value > quantile:
        gain = max(0.5 * FOLLOWING / TAIL, 0.02)
        row["excess"][j] = excess + gain * (min(value - quantile, 4.0 * max(excess, least)) - excess)
        row["quantile"][j] = quantile + step * (1.0 - TAIL)
    else:
        row["quantile"][j] = quantile - step * TAIL
    weight = max(1.0 / 2_000.0, 1.0 / (i + 1))
    row["size"][j] = size + weight * (min(abs(value), 5.0 * size + 0.1) - size)
    return found


@kernel
def _step(row: Any, y: float, time_ns: int, days: float, i: int, learn: bool) -> tuple[float, bool, float]:
    """Return the evidence of the ``i``-th value, whether it lies below, and the drift; then learn."""
    if i == 0:
        row["level"] = y
        row["high"][:] = UNSEEN
    day, day_share, week, week_share = forecast(row, time_ns)
    away = y - row["level"]
    keep_residual(row, away - day_share * day - week_share * week, i)
    values = np.empty(STATISTICS, np.float64)
    measure(row, away, i, values)
    above = below = 0.0
    young = math.log(max(YOUNG_DAYS / max(row["age_days"], 1e-6), 1.0))
    for j in range(STATISTICS):
        excess = _judge(row, j, values[j], i, learn)
        evidence = (BASES[j] + SLOPES[j] * math.sqrt(excess)) * min(1.0, excess / CLEAR_EXCESS) - young
        if j in (1, 4):
            below = max(below, evidence)
        else:
            above = max(above, evidence)
    drift = 0.0
    if learn:
        for j in range(RISES):
            rise = follow_rise(row, j, y, i)
            if rise > 0.0 and j == 0 and away < row["high"][0] - NEAR_HIGHEST:
                continue  # large values follow each other more closely than before, and none is larger
            if rise > 0.0 and j < RISES - 1:
                above = max(above, RISE_EVIDENCE[j])
            elif rise > 0.0:
                drift = rise
        drift = max(drift, follow_reference(row, i))
        learn_season(row, away, time_ns, days, i)
    return max(above, below), below > above, drift


@kernel
def _settle(row: Any, evidence: float, days: float, learn: bool) -> float:
    """Return the evidence after the corrections for an episode that lasts and for the series' own tail."""
    faded = math.exp(-days / REMEMBERED_DAYS)
    row["episodes"] *= faded
    row["days"] = row["days"] * faded + days
    peak = row["peak"] * _FADING
    row["peak"] = max(peak, evidence)
    if evidence <= peak + (NEW_ALARM if peak > ALARM_PEAK else 0.0):
        return 0.0
    ratio = (row["episodes"] + PRIOR_EPISODES) / (row["days"] * EPISODES_PER_DAY + PRIOR_EPISODES)
    if learn and evidence >= EPISODE:
        row["episodes"] += 1.0
    return max(evidence - math.log(min(max(ratio, RATIO_RANGE[0]), RATIO_RANGE[1])), 0.0)


@kernel
def _replay(row: Any, last: float, time_ns: int) -> None:
    """Learn the first amounts, now that their unit is known, at even distances up to this time."""
    set_unit(row, last)
    first = np.empty(WARM_COUNT, np.float64)
    for j in range(WARM_COUNT - 1):
        first[j] = first_amount(row, j)
    first[WARM_COUNT - 1] = last
    row["recent"][:] = 0
    days, row["age_days"] = row["age_days"] / (WARM_COUNT - 1), 0.0
    for j in range(WARM_COUNT):
        at_ns = time_ns - int((WARM_COUNT - 1 - j) * days * 86_400e9)
        row["age_days"] += days if j else 0.0
        evidence, _, _ = _step(row, math.asinh(first[j] / row["unit"]), at_ns, days if j else 0.0, j, True)
        _settle(row, evidence, days if j else 0.0, True)


@kernel
def observe(rows: Any, k: int, amount: float, time_ns: int, learn: bool) -> tuple[float, float, float, float]:
    """Score one amount, then learn from it.

    Args:
        rows: Array of ``SERIES``; a new one is all zeros.
        amount: In any unit; ratios count.
        time_ns: Event time; a time before the last one counts as the last one's.
        learn: Whether to learn from the amount. It joins the window of the last values in any case.

    Returns:
        Evidence that it lies above, and below, as the negative logarithm of a rate per day (0: none; NaN for the first
        ``WARM_COUNT``); the usual amount at this time; and the drift, as the ratio of the mean of late to what it was,
        where that is beyond its bound (else 0), after which the comparison starts from there.
    """
    row = rows[k]
    i = int(row["count"])
    amount = min(max(amount, -MAX_AMOUNT), MAX_AMOUNT)
    if i < WARM_COUNT:
        if not learn:
            return np.nan, np.nan, np.nan, 0.0
        advance_clock(row, time_ns)
        row["count"] = i + 1
        if i < WARM_COUNT - 1:
            keep_first(row, amount, i)
        else:
            _replay(row, amount, row["last_ns"])
        return np.nan, np.nan, np.nan, 0.0
    days = advance_clock(row, time_ns)
    row["count"] = min(i + 1, 4_000_000_000)
    usual = usual_amount(row, time_ns)
    evidence, is_below, drift = _step(row, math.asinh(amount / row["unit"]), time_ns, days, i, learn)
    evidence = _settle(row, evidence, days, learn)
    ratio = math.exp(drift) if drift > 0.0 else 0.0
    return (0.0, evidence, usual, ratio) if is_below else (evidence, 0.0, usual, ratio)


@kernel
def _score(rows: Any, amounts: Array, time_ns: Array, bound: float, out: Array) -> None:
    for i in range(amounts.shape[0]):
        above, below, _, ratio = observe(rows, 0, amounts[i], time_ns[i], True)
        found = max(above, below) / bound
        out[i] = max(1.0 - 2.0**-found, 0.5 if ratio > 0.0 else 0.0) if found == found else 0.0


def score_amounts(amounts: Array, time_ns: Array, alarms_per_month: float = FALSE_ALARMS_PER_MONTH) -> Array:
    """Return the score of each amount of a series, in [0, 1]; at a half the budget of false alarms is met.

    >>> calm = np.array([100.0 + i % 7 for i in range(300)] + [900.0])
    >>> found = score_amounts(calm, np.arange(301) * 60_000_000_000)
    >>> bool(found[:300].max() < 0.5 < found[300])
    True
    """
    out = np.zeros(amounts.shape[0], np.float64)
    bound = max(math.log(DAYS_PER_MONTH / alarms_per_month), 0.1)
    _score(np.zeros(1, SERIES), amounts, time_ns, bound, out)
    return out
