"""Certificates of the company's authority, renewed long before they end."""

from dataclasses import replace
from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import PRIVATE_CA, issue, postgresql

RENEWALS: Final = (33, 75, 166, 230, 290)


class PrivateCaEarly(YearScenario):
    """The platform renews a certificate of two years whenever it redeploys, and verifies it in full."""

    title = "certificates of two years, of the company's authority, that are renewed after weeks, verified in full"
    naive = "another certificate, months before the old one ends"
    days = 336
    per_hour = 60
    blocks = 1

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)

    def play(self, hour: Hour) -> None:
        """Renew, and work."""
        if hour.day in RENEWALS and hour.is_at(10):
            certificate = issue(self.source, PRIVATE_CA, "CN=db.shop.internal", hour.day, 730)
            self.database.nodes = [replace(self.database.nodes[0], certificate=certificate)]
        self.ordinary(hour, self.database, SQL)
