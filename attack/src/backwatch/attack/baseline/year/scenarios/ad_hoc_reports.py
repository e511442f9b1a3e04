"""A report builder from which staff asks new questions every day."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

COLUMNS: Final = ("state", "country", "channel", "coupon", "payment", "shipper", "vat_rate", "device", "language")
TABLES: Final = ("orders", "users", "order_items", "reviews", "products")


class AdHocReports(YearScenario):
    """A function builds statements from the columns, filters and orders that were clicked."""

    title = "a report builder whose users ask about ten new questions a working day"
    naive = "statements that were never sent"

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        """Ask in office hours, and work."""
        if hour.weekday < 5 and 8 <= hour.hour < 18:
            for _ in range(self.source.randrange(1, 5)):
                self.call(hour.begin_s + self.source.random() * 3_590, self.database, self._question())
        self.ordinary(hour, self.database, SQL)

    def _question(self) -> Query:
        source = self.source
        columns = source.sample(COLUMNS, source.randrange(1, 4))
        filters = " AND ".join(f"{column} = ?" for column in source.sample(COLUMNS, source.randrange(1, 4)))
        text = f"SELECT {', '.join(columns)}, count(*) FROM {source.choice(TABLES)} WHERE {filters} GROUP BY "
        text += ", ".join(columns) + source.choice(("", " ORDER BY count(*) DESC", " LIMIT ?"))
        return Query(text, "shop/reports.py:run_report", "/reports/{id}", 40, 40, 1, 0.9)
