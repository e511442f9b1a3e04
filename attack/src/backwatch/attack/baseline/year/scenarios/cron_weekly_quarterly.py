"""Reports that run once a week, once a month and once a quarter."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

WEEKLY: Final = (
    Query(
        "SELECT user_id, sum(total) FROM orders WHERE placed_on >= ? GROUP BY user_id",
        "shop/jobs/reports.py:weekly", "", 1_400, 30, 1, 0.15, 1.0,
    ),
    Query("DELETE FROM sessions WHERE expires_at < ?", "shop/jobs/reports.py:expire_sessions", "", -1, 20),
)  # fmt: skip
QUARTERLY: Final = (
    Query(
        "SELECT category_id, sum(quantity * price)"
        " FROM order_items JOIN products ON products.id = product_id WHERE placed_on >= ? GROUP BY category_id",
        "shop/jobs/reports.py:quarterly", "", 60, 30, 1, 0.1, 4.0,
    ),
    Query(
        "SELECT id, country, vat_id FROM users WHERE vat_id IS NOT NULL ORDER BY country",
        "shop/jobs/reports.py:vat_list", "", 2_600, 60, 1, 0.05, 1.0,
    ),
)  # fmt: skip


class CronWeeklyQuarterly(YearScenario):
    """The jobs share one file with functions that run every night."""

    title = "jobs that run once a week and once a quarter, for a year"
    naive = "a statement that is not known at its call site, and rows that no other call returns"
    days = 364
    per_hour = 60
    blocks = 1

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)
        self.nightly = Query(
            "SELECT count(*), sum(total) FROM orders WHERE placed_on = ?", "shop/jobs/reports.py:run", "", 1, 24
        )

    def play(self, hour: Hour) -> None:
        """Run what is due, and work."""
        month, day = hour.month_day
        if hour.is_at(1):
            self.call(hour.begin_s + 60 + self.source.random() * 20, self.database, self.nightly)
        if hour.is_at(1, 6):
            self.series(hour.begin_s + 300, 5, self.database, WEEKLY, 2)
        if hour.is_at(2) and day == 2 and month % 3 == 1:
            self.series(hour.begin_s + 300, 8, self.database, QUARTERLY, 2)
            run = [query._replace(site="shop/jobs/reports.py:run") for query in QUARTERLY]
            self.series(hour.begin_s + 400, 8, self.database, run, 2)
        self.ordinary(hour, self.database, SQL)
