"""A day with five times the usual traffic, announced to customers."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import postgresql

SALE_DAYS: Final = (46, 47)


class SaleDay(YearScenario):
    """It grows within the hour in which it begins, and more pods are started for it."""

    title = "a sale of two days with five times the usual traffic, and twice as many pods"
    naive = "calls, rows and bytes in unusual volume"
    per_hour = 200
    blocks = 8

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        """Sell."""
        times = 1.0
        if hour.day in SALE_DAYS:
            times = 5.0 if hour.hour >= 8 else 1.5
            if hour.is_at(7):
                self.running = [*self.running[:3], *(self.start_pod(self.release) for _ in range(3))]
        self.ordinary(hour, self.database, SQL, self.per_hour * times)
