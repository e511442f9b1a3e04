"""A nightly backup that is introduced after weeks."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

TABLES: Final = {"products": 4_000, "stock": 4_000, "users": 22_000, "orders": 60_000, "reviews": 9_000}
FIRST_DAY: Final = 25


class BackupLater(YearScenario):
    """A release brings a job that reads each table at two in the morning."""

    title = "a nightly job that reads every table in full, introduced by a release in the fourth week"
    naive = "rows and bytes leave that never left"

    def set_up(self) -> None:
        """Make the database and the job."""
        self.database = postgresql(self.source)
        self.job = [
            Query(f"SELECT * FROM {table} ORDER BY id", "shop/jobs/backup.py:copy_table", "", rows, 150, 1, 0.02, 2.0)
            for table, rows in TABLES.items()
        ]

    def play(self, hour: Hour) -> None:
        """Release, work, and from then on copy by night."""
        if hour.is_at(14) and hour.day == FIRST_DAY:
            self.running = [self.start_pod("2026.2") for _ in self.running]
        if hour.is_at(2) and hour.day > FIRST_DAY:
            grown = 1 + hour.day * 0.002
            self.series(hour.begin_s + 120, 9, self.database, self.job, len(self.job), grown)
        self.ordinary(hour, self.database, SQL)
