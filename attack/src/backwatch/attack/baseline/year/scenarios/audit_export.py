"""An auditor's export: every booking of a quarter, on one working day in each quarter."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import AMAZON, https, postgresql

BOOKINGS: Final = Query(
    "SELECT id, user_id, total, state, placed_on FROM orders WHERE placed_on >= ? AND placed_on < ? AND id > ? "
    "ORDER BY id LIMIT ?",
    "shop/audit/export.py:read_bookings", "", 5_000, 90, 1, 0.0, 0.8,
)  # fmt: skip
ACCESS: Final = Query(
    "SELECT user_id, action, at FROM access_log WHERE at >= ? AND at < ? ORDER BY at",
    "shop/audit/export.py:read_access", "", 40_000, 60, 1, 0.1, 3.0,
)  # fmt: skip
PUT: Final = Query("PUT /audit/{quarter}", "shop/audit/export.py:store", "", -1, 200, lasts_s=2.0,
                   sent_bytes=6_000_000)  # fmt: skip
RECEIPT: Final = Query("PUT /receipts/{day}", "shop/orders.py:store_receipt", "/checkout", -1, 200, lasts_s=0.1,
                       sent_bytes=9_000)  # fmt: skip
DAYS: Final = (66, 157)
"""Days of the first and of the second export: the quarters grow by a third."""


class AuditExport(YearScenario):
    """A job reads pages of 5,000 bookings and the access log at ten in the morning, and stores them in a bucket."""

    title = "an audit export of a whole quarter, by pages and in the middle of the day, twice in half a year"
    naive = "more rows leave within minutes than in a month, and an upload follows"
    days = 168
    per_hour = 80
    blocks = 2

    def set_up(self) -> None:
        """Make database and bucket."""
        self.database = postgresql(self.source)
        self.bucket = https(self.source, "audit-archive.s3.eu-central-1.amazonaws.com", AMAZON[0], 365, 40)

    def play(self, hour: Hour) -> None:
        """Export, and work; small receipts go to the bucket every hour."""
        if hour.day in DAYS and hour.is_at(10):
            pages = 14 + 5 * DAYS.index(hour.day)
            self.series(hour.begin_s + 200, 3, self.database, (BOOKINGS,), pages)
            self.series(hour.begin_s + 320, 4, self.database, (ACCESS,), 1)
            self.series(hour.begin_s + 340, 5, self.bucket, (PUT,), 3)
        self.ordinary(hour, self.database, SQL)
        self.ordinary(hour, self.bucket, (RECEIPT,), 6)
