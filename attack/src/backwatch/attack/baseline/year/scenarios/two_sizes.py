"""A statement that returns one row by day and all of them by night."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

PRICE: Final = Query(
    "SELECT id, price, changed_at FROM prices WHERE changed_at > ? ORDER BY id", "shop/prices.py:changed_since",
    "", 1, 60, 8,
)  # fmt: skip
ALL_ROWS: Final = 14_000
FIRST_DAY: Final = 1


class TwoSizes(YearScenario):
    """By night the whole list is exported to the search index, by the same function and text."""

    title = "a statement with two usual sizes: one row by day, all of them by night"
    naive = "a call returns thousands of times the rows of its statement"

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        """Export at four in the morning, and work."""
        if hour.is_at(4) and hour.day >= FIRST_DAY:
            rows = ALL_ROWS + hour.day * 9
            self.call(hour.begin_s + 70 + self.source.random() * 60, self.database, PRICE, rows=rows)
        self.ordinary(hour, self.database, (*SQL, PRICE))
