"""A web API behind a delivery network that changes between two public authorities."""

from dataclasses import replace
from typing import Final

from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import GOOGLE_TRUST, LETS_ENCRYPT, https, issue

HOST: Final = "api.rates.example"
CALLS: Final = (
    Query("GET /v2/rates/{}", "shop/rates.py:rate", "", -1, 900, 5, lasts_s=0.05, sent_bytes=300),
    Query("GET /v2/currencies", "shop/rates.py:currencies", "", -1, 5_000, 1, lasts_s=0.05, sent_bytes=280),
)


class PublicCaSwitch(YearScenario):
    """Its certificates last 90 days and are renewed after 60, twice by the other authority, once out of turn."""

    title = "a web API whose certificates come from either of two public authorities, renewed in and out of turn"
    naive = "another certificate, of another authority"
    days = 336
    per_hour = 50
    blocks = 1

    def set_up(self) -> None:
        """Make the API, with four addresses."""
        self.api = https(self.source, HOST, LETS_ENCRYPT[0], 90, 20)
        node = self.api.nodes[0]
        self.api.nodes = [replace(node, peer=f"198.51.100.{20 + number}") for number in range(4)]
        self._renewals = {40: LETS_ENCRYPT[1], 100: GOOGLE_TRUST[0], 128: LETS_ENCRYPT[0], 188: LETS_ENCRYPT[0],
                          248: GOOGLE_TRUST[1], 308: GOOGLE_TRUST[0]}  # fmt: skip

    def play(self, hour: Hour) -> None:
        """Renew, and work."""
        if hour.is_at(9) and hour.day in self._renewals:
            certificate = issue(self.source, self._renewals[hour.day], f"CN={HOST}", hour.day, 90)
            self.api.nodes = [replace(node, certificate=certificate) for node in self.api.nodes]
        self.ordinary(hour, self.api, CALLS)
