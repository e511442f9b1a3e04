"""A tenant that moves in over a weekend: its rows are copied from the old system, then its users come."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import GOOGLE_TRUST, https, postgresql

PAGE: Final = Query("GET /v2/export/{table}", "shop/tenants/migrate.py:fetch_page", "", -1, 900_000, lasts_s=0.9)
COPY: Final = (
    Query("INSERT INTO users (tenant_id, email, name) VALUES (?)", "shop/tenants/migrate.py:copy_users", "", -1, 40,
          sent_bytes=80_000),
    Query("INSERT INTO orders (tenant_id, user_id, total, state) VALUES (?)", "shop/tenants/migrate.py:copy_orders",
          "", -1, 40, sent_bytes=60_000),
)  # fmt: skip
CHECK: Final = (
    Query("SELECT id, checksum FROM users WHERE tenant_id = ? ORDER BY id", "shop/tenants/migrate.py:compare", "",
          18_000, 40, 1, 0.02, 1.2),
    Query("SELECT id, checksum FROM orders WHERE tenant_id = ? ORDER BY id", "shop/tenants/migrate.py:compare", "",
          52_000, 40, 1, 0.02, 2.5),
)  # fmt: skip
MIGRATIONS: Final = (33, 61)
"""Saturdays on which a tenant moves in."""


class TenantMigration(YearScenario):
    """Two tenants move in, four weeks apart; each brings a third of the traffic from its Monday on."""

    title = "tenants that move in over a weekend: hours of copying from another company, comparisons, then more traffic"
    naive = "a new host is called, bytes and rows move in unusual volume, and the level never comes down again"
    days = 77
    per_hour = 100

    def set_up(self) -> None:
        """Make the database, and the old system of each tenant."""
        self.database = postgresql(self.source)
        self._old = [https(self.source, f"tenant{number}.oldcrm.example", GOOGLE_TRUST[0], 90, 20) for number in (1, 2)]

    def play(self, hour: Hour) -> None:
        """Copy on Saturday, compare on Sunday, and work."""
        for old, saturday in zip(self._old, MIGRATIONS, strict=True):
            if hour.day == saturday and 8 <= hour.hour < 18:
                self.series(hour.begin_s + 30, 7, old, (PAGE,), 60)
                self.series(hour.begin_s + 40, 2.0, self.database, COPY, 220)
            if hour.day == saturday + 1 and hour.is_at(9):
                self.series(hour.begin_s + 60, 20, self.database, CHECK, 2)
        grown = 1.0 + sum(hour.day >= saturday + 2 for saturday in MIGRATIONS) / 3
        self.ordinary(hour, self.database, SQL, self.per_hour * grown)
