"""A batch on the last days of each month."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

LEDGER: Final = (
    Query(
        "SELECT id, user_id, total, state FROM orders WHERE placed_on >= ? AND placed_on < ?",
        "shop/jobs/month_end.py:read_orders", "", 9_000, 60, 1, 0.2, 1.5,
    ),
    Query(
        "SELECT order_id, product_id, quantity, price FROM order_items WHERE order_id IN (?)",
        "shop/jobs/month_end.py:read_items", "", 700, 40, 1, 0.2, 0.2,
    ),
    Query(
        "INSERT INTO ledger (month, account, amount) VALUES (?, ?, ?)",
        "shop/jobs/month_end.py:write_ledger", "", -1, 20,
    ),
)  # fmt: skip


class MonthEnd(YearScenario):
    """The ledger is closed on the last evening of a month, and once more on the first, with hundreds of calls."""

    title = "a month-end batch that reads and writes a hundred times as much as an ordinary hour, for half a year"
    naive = "rows, bytes and calls leave in unusual volume"
    days = 182
    per_hour = 80
    blocks = 2

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        """Close the month, and work."""
        _, day = hour.month_day
        if hour.is_at(21) and (hour.days_to_month_end == 0 or day == 1):
            self.series(hour.begin_s + 300, 20, self.database, LEDGER[:1], 12)
            self.series(hour.begin_s + 600, 4, self.database, LEDGER[1:2], 240)
            self.series(hour.begin_s + 1_200, 0.5, self.database, LEDGER[2:], 1_500)
        self.ordinary(hour, self.database, SQL)
