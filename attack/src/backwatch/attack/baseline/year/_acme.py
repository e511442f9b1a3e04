"""A service whose certificates an ACME client renews."""

from dataclasses import replace
from typing import ClassVar

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import LETS_ENCRYPT, issue, postgresql


class AcmeScenario(YearScenario):
    """Renewals at about the same time of day; the issuer alternates between two certificates of the authority.

    Attributes:
        life_days: Days that a certificate lasts.
        renewed_after_days: Days after which it is renewed.
    """

    naive = "another certificate"
    per_hour = 60
    blocks = 1
    life_days: ClassVar[int]
    renewed_after_days: ClassVar[int]

    def set_up(self) -> None:
        """Make the database."""
        self.database = postgresql(self.source)
        self._renew(0)

    def _renew(self, day: int) -> None:
        issuer = self.source.choice(LETS_ENCRYPT)
        certificate = issue(self.source, issuer, "CN=db.shop.example", day, self.life_days)
        self.database.nodes = [replace(self.database.nodes[0], certificate=certificate)]

    def play(self, hour: Hour) -> None:
        """Renew, and work."""
        if hour.day and hour.day % self.renewed_after_days == 0 and hour.is_at(4):
            self._renew(hour.day)
        self.ordinary(hour, self.database, SQL)
