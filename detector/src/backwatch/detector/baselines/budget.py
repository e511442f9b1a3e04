"""Running totals of ten minutes, an hour, a day and a week against the tail of their own history.

A slow leak is never a spike: each of its minutes is ordinary, and only their sum is not. A row keeps the running
total of each period of ``PERIOD_TENS``. Hour and day slide: what is left of the last one counts by its share. Of past
periods it keeps few numbers, as binary logarithms:

- the **highest** total, which fades by ``FADING_PER_DAY``;
- of the hours, the upper decile and the **mean excess** above it: the scale of the tail.

The **limit** of a period is the highest times ``TAIL_EXCESSES`` mean excesses, more while few periods are known, and at
least ``MIN_EXCESS`` above the highest. A total is reported once, at the call that carries it beyond its limit.

On a sale day everything grows together; in a leak one statement grows alone. So the limit grows with the **activity**
of the rest of the resource: its calls without those of this row, against their own highest. What a day was so excused
counts in no week: the second day of a sale is no busier than the first.

A period teaches its limit at most. So the budget of an hour can be raised within hours, that of a day within days. The
result does not depend on batches: calls are added one by one, and one of an earlier period counts in the present.
"""

import math
from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import inline, kernel

PERIOD_TENS: Final = (1, 6, 144, 1_008)
"""Length of each period, in tens of minutes."""
PERIODS: Final = len(PERIOD_TENS)
TEN, HOUR, DAY, WEEK = range(PERIODS)
COUNTS: Final = 3
"""Calls are counted by ten minutes, hour and day."""
BUDGET: Final = np.dtype([
    ("amount", "<u4", (PERIODS,)), ("calls", "<u4", (COUNTS,)), ("highest", "<u2", (PERIODS,)),
    ("last", "<u2", (2,)), ("peak", "<u2", (2,)), ("busiest", "<u2", (2,)), ("decile", "<u2"), ("ten", "<u2"),
    ("excess", "u1"), ("hours", "u1"), ("days", "u1"), ("exceeded", "u1"),
])  # fmt: skip
"""One key's budgets: 56 bytes. ``last``, ``peak`` and ``busiest`` are of hour and day: the total of the period before,
the highest sliding total of this one, the most calls. ``hours`` and ``days`` count those with calls, up to 255."""

UNIT_BYTES: Final = 250
"""Amounts are counted in units of so many bytes, rounded up."""
ROW_BYTES: Final = 2_500
"""A row counts as at least so many bytes: 20,000 rows weigh as much as 50 MB."""
MIN_HOURS: Final = 24
MIN_DAYS: Final = (1, 1, 4, 14)
"""Hours and days with calls before a period has a limit."""
MIN_EXCESS: Final = tuple(rows * ROW_BYTES // UNIT_BYTES for rows in (8_000, 9_000, 10_000, 12_000))
"""Units beyond the highest total below which nothing is reported: 8,000 to 12,000 rows, or 20 to 30 MB."""
TAIL_EXCESSES: Final = 7.0
MARGIN_RANGE: Final = (0.4, 2.0)
"""Bounds of the margin by the tail, as binary logarithms: 1.3 and 4 times."""
LONG_MARGIN: Final = 0.25
"""Margin of a day and a week: what is odd in an hour is evened out in them."""
YOUNG_HOURS: Final = 38.0
YOUNG_DAYS: Final = 2.0
"""Further margin while little is known: divided by the known hours or days. It is 3 times after a day of hours."""
FADING_PER_DAY: Final = 0.03
"""Binary logarithms by which the highest fades in a day: it halves in a month."""
MAX_SHARE: Final = 0.5
"""Of the least excess of ten minutes: what one statement may add to its resource's total in an hour."""
MIN_OTHER_CALLS: Final = 50
"""Calls of the rest of a resource below which they measure no activity."""
MAX_ACTIVITY: Final = 10.0
ONGOING_SHARE: Final = 0.85
_LOG_STEPS: Final = 1_024.0
_WRAP: Final = 64_512
"""Tens of minutes after which the clock of a row begins anew: 448 days, whole weeks."""
_EXCESS_STEPS: Final = 64.0
_FIRST_EXCESS: Final = 0.3
_MAX_TOTAL: Final = 4_000_000_000
_TEN_NS: Final = 600 * 10**9


@inline
def _from_log(code: int) -> float:
    return 2.0 ** (code / _LOG_STEPS) - 1.0


@inline
def _to_log(total: float) -> float:
    return math.log2(1.0 + total)


@inline
def _to_steps(x: float) -> int:
    return int(min(max(x, 0.0), 63.9) * _LOG_STEPS)


@kernel
def weigh(rows: int, size_bytes: int) -> int:
    """Return the units of an amount; either may be unknown (-1).

    >>> weigh(-1, -1), weigh(50, 4_000), weigh(1, 1_000_000)
    (0, 500, 4000)
    """
    return (max(rows * ROW_BYTES, size_bytes, 0) + UNIT_BYTES - 1) // UNIT_BYTES


@kernel
def find_limit(row: Any, period: int, activity: float) -> float:
    """Return the units that a period may reach; infinity while too little is known."""
    hours, days = np.int64(row["hours"]), np.int64(row["days"])
    if hours < MIN_HOURS or days < MIN_DAYS[period]:
        return math.inf
    if period <= HOUR:
        tail = TAIL_EXCESSES * row["excess"] / _EXCESS_STEPS
        margin = min(max(tail, MARGIN_RANGE[0]), MARGIN_RANGE[1]) + YOUNG_HOURS / hours
    else:
        margin = LONG_MARGIN + YOUNG_DAYS / days
    highest = _from_log(row["highest"][period])
    return max(highest * activity * 2.0**margin, highest + MIN_EXCESS[period])


@kernel
def _left(period: int, ten: Any) -> float:
    """Return the share of the period before that still counts, at the end of these ten minutes."""
    return 1.0 - (ten % PERIOD_TENS[period] + 1.0) / PERIOD_TENS[period]


@kernel
def total_units(row: Any, period: int) -> float:
    """Return the units of a period so far; of hour and day the sliding ones."""
    amount = float(row["amount"][period])
    if period in (HOUR, DAY) and row["last"][period - HOUR] > 0:
        amount += _from_log(row["last"][period - HOUR]) * _left(period, np.int64(row["ten"]))
    return amount


@kernel
def _excused_units(row: Any) -> float:
    """Return the units of the present day beyond its limit that the activity of the rest excused."""
    if row["exceeded"] & (1 << DAY):
        return 0.0
    return max(float(row["amount"][DAY]) - find_limit(row, DAY, 1.0), 0.0)


@kernel
def _learn_tail(row: Any, x: float) -> None:
    """Let the decile of the hours and the mean excess above it learn an hour's total."""
    hours = np.int64(row["hours"])
    decile, excess = row["decile"] / _LOG_STEPS, row["excess"] / _EXCESS_STEPS
    gain = max(0.02, 1.0 / (hours + 1))
    if hours == 0:
        decile, excess = x, _FIRST_EXCESS
    elif x > decile:
        excess += 0.05 * (min(x - decile, 4.0 * excess + 0.5) - excess)
        decile += 0.9 * gain
    else:
        decile -= 0.1 * gain
    row["decile"] = _to_steps(decile)
    row["excess"] = int(min(max(excess, 0.0), 3.9) * _EXCESS_STEPS + 0.5)


@kernel
def _learn(row: Any, period: int, elapsed: Any) -> None:
    """Learn the total of a period that ended; ``elapsed`` periods later the next call came."""
    total, at = float(row["amount"][period]), period - HOUR
    fading = FADING_PER_DAY / 144.0 * PERIOD_TENS[period] * elapsed
    if period in (HOUR, DAY):
        row["last"][at] = _to_steps(_to_log(total)) if elapsed == 1 else 0
        total = max(total, _from_log(row["peak"][at]))
        row["peak"][at] = 0
        calls = _to_log(float(row["calls"][period]))
        row["busiest"][at] = _to_steps(max(row["busiest"][at] / _LOG_STEPS - fading, calls))
    if period == DAY:
        row["amount"][WEEK] -= int(min(_excused_units(row), float(row["amount"][WEEK])))
    x = _to_log(min(total, find_limit(row, period, 1.0)))
    row["highest"][period] = _to_steps(max(row["highest"][period] / _LOG_STEPS - fading, x))
    row["amount"][period] = 0
    row["exceeded"] &= np.uint8(0xFF ^ (1 << period))
    if period < COUNTS:
        row["calls"][period] = 0
    if period == HOUR:
        _learn_tail(row, x)
        row["hours"] = min(np.int64(row["hours"]) + 1, 255)
    elif period == DAY:
        row["days"] = min(np.int64(row["days"]) + 1, 255)


@kernel
def advance(row: Any, time_ns: int) -> None:
    """Close the periods that ended before this time."""
    ten = time_ns // _TEN_NS
    if row["calls"][DAY] == 0 and row["hours"] == 0:
        row["ten"] = ten % _WRAP
        return
    passed = (ten - np.int64(row["ten"])) % _WRAP
    if passed == 0 or passed > _WRAP // 2:
        return
    before = ten - passed
    for period in range(HOUR, WEEK):
        peak = max(row["peak"][period - HOUR], _to_steps(_to_log(total_units(row, period))))
        row["peak"][period - HOUR] = peak
    for period in range(PERIODS):
        elapsed = ten // PERIOD_TENS[period] - before // PERIOD_TENS[period]
        if elapsed > 0:
            _learn(row, period, elapsed)
    row["ten"] = ten % _WRAP


@kernel
def add(row: Any, units: int) -> None:
    """Add a call to the running totals."""
    for period in range(PERIODS):
        row["amount"][period] = min(np.int64(row["amount"][period]) + units, _MAX_TOTAL)
    for period in range(COUNTS):
        row["calls"][period] = min(np.int64(row["calls"][period]) + 1, _MAX_TOTAL)


@kernel
def _find_activity(row: Any, whole: Any, period: int) -> float:
    """Return how much busier the rest of the resource is than it ever was, at least 1.

    Ten minutes are a fifth of the busiest hour: its own ten are not even.
    """
    at = min(period, DAY)
    index = max(at - HOUR, 0)
    usual = _from_log(whole["busiest"][index]) - _from_log(row["busiest"][index])
    usual = usual / 5.0 if at == TEN else usual
    now = float(np.int64(whole["calls"][at]) - np.int64(row["calls"][at])) + usual * _left(at, np.int64(row["ten"]))
    return min(max(now / usual, 1.0), MAX_ACTIVITY) if usual >= MIN_OTHER_CALLS else 1.0


@kernel
def find_exceeded(row: Any, whole: Any) -> int:
    """Return the longest period whose total has just passed its limit, else -1. Each is returned once.

    A week's total counts only while its present day is among the highest: not in the days after a sale.
    """
    found = -1
    for period in range(PERIODS):
        bound = MIN_EXCESS[period]
        if row["exceeded"] & (1 << period) or row["amount"][period] < (bound if period in (TEN, WEEK) else bound / 4.0):
            continue
        total = total_units(row, period)
        if total < bound or total <= find_limit(row, period, 1.0):
            continue
        if period == WEEK:
            total -= _excused_units(row)
            if total_units(row, DAY) < ONGOING_SHARE * _from_log(row["highest"][DAY]):
                continue
        if total > find_limit(row, period, _find_activity(row, whole, period)):
            row["exceeded"] |= np.uint8(1 << period)
            found = period
    return found


@kernel
def count_beyond(row: Any, whole: Any, units: int) -> int:
    """Return how many of the units just added lie beyond the highest hour so far, at the present activity.

    Of one statement and hour at most ``MAX_SHARE`` of them count: what one gives out alone is its own alert.
    """
    if row["hours"] < MIN_HOURS:
        return 0
    highest, amount = _from_log(row["highest"][HOUR]), float(row["amount"][HOUR])
    if amount <= highest:
        return 0
    usual, most = highest * _find_activity(row, whole, HOUR), MAX_SHARE * MIN_EXCESS[TEN]
    before = min(max(amount - units - usual, 0.0), most)
    return int(min(max(amount - usual, 0.0), most) - before)


@kernel
def highest_units(row: Any, period: int) -> float:
    """Return the highest total of past periods."""
    return _from_log(row["highest"][period])
