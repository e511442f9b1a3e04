"""Minor upgrades of the database, the cache and the broker, one after the other."""

from dataclasses import replace

from backwatch.attack.baseline.year._shop import CACHE, SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import postgresql, redis


class MinorUpgrades(YearScenario):
    """PostgreSQL every quarter, Redis every seven weeks, at night; the servers keep name and key."""

    title = "a year of minor upgrades of the database (17.2 to 17.6) and the cache (8.2.3 to 8.2.10), verified in full"
    naive = "the server announces a version that it never announced"
    days = 364
    per_hour = 60
    blocks = 1

    def set_up(self) -> None:
        """Make database and cache."""
        self.database, self.cache = postgresql(self.source), redis(self.source)
        self._minor = 2

    def play(self, hour: Hour) -> None:
        """Upgrade at three or four in the morning, and work."""
        if hour.is_at(3, 6) and hour.day % 91 == 41:
            self._minor += 1
            self.database.nodes = [replace(self.database.nodes[0], version=f"17.{self._minor}")]
        if hour.is_at(4, 1) and hour.day % 49 == 22:
            node = self.cache.nodes[0]
            patch = int(node.version.rpartition(".")[2]) + 1
            self.cache.nodes = [replace(node, version=f"8.2.{patch}", server_id=self.source.randbytes(20).hex())]
        self.ordinary(hour, self.database, SQL)
        self.ordinary(hour, self.cache, CACHE, 40)
