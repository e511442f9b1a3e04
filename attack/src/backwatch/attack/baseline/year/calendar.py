"""Simulated time: hours of a calendar, and how busy each of them is."""

import random
from typing import Final, NamedTuple

SECOND_NS: Final = 10**9
HOUR_S: Final = 3_600
DAY_HOURS: Final = 24
BEGIN_NS: Final = 1_767_571_200 * SECOND_NS
"""Monday, 2026-01-05, 00:00 UTC."""
LOAD: Final = (
    0.16, 0.11, 0.08, 0.07, 0.08, 0.13, 0.26, 0.48, 0.72, 0.90, 0.97, 1.00,
    0.95, 0.93, 0.96, 0.94, 0.88, 0.84, 0.86, 0.90, 0.85, 0.66, 0.43, 0.26,
)  # fmt: skip
"""Load of each hour of a weekday, as a share of the busiest."""
WEEKEND: Final = (0.62, 0.55)
"""Load of Saturday and Sunday, as a share of a weekday's."""
NOISE: Final = 0.08
"""Standard deviation of an hour's load, on the log scale."""
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Hour(NamedTuple):
    """One hour of the simulated calendar.

    Attributes:
        day: Days since the beginning, which is a Monday.
        hour: Hour of the day, UTC.
    """

    day: int
    hour: int

    @property
    def begin_s(self) -> int:
        """Seconds since the beginning."""
        return (self.day * DAY_HOURS + self.hour) * HOUR_S

    @property
    def weekday(self) -> int:
        """Day of the week; 0 is Monday."""
        return self.day % 7

    @property
    def month_day(self) -> tuple[int, int]:
        """Month, from 1 on, and day of the month, from 1 on.

        >>> [Hour(day, 0).month_day for day in (0, 26, 27, 361)]
        [(1, 5), (1, 31), (2, 1), (1, 1)]
        """
        left = (self.day + 4) % 365
        for month, days in enumerate(_MONTH_DAYS, 1):
            if left < days:
                return month, left + 1
            left -= days
        raise AssertionError

    @property
    def days_to_month_end(self) -> int:
        """Days until the last day of the month.

        >>> Hour(26, 0).days_to_month_end
        0
        """
        month, day = self.month_day
        return _MONTH_DAYS[month - 1] - day

    def is_at(self, hour: int, weekday: int | None = None) -> bool:
        """Return whether it is this hour of the day, on this day of the week."""
        return self.hour == hour and weekday in (None, self.weekday)

    def load(self, source: random.Random) -> float:
        """Return how busy the hour is, with noise; 1 is the busiest on average."""
        week = WEEKEND[self.weekday - 5] if self.weekday >= 5 else 1.0
        return LOAD[self.hour] * week * source.lognormvariate(0, NOISE)
