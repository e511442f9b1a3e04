"""Two releases side by side, between which the traffic moves."""

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import postgresql


class BlueGreen(YearScenario):
    """Each Tuesday a new release starts beside the old one, and takes over within four hours; one is rolled back."""

    title = "a release a week, blue and green side by side for hours, with changed statements and one rollback"
    naive = "statements that were never sent, and old ones again"
    per_hour = 240
    blocks = 6

    def set_up(self) -> None:
        """Make the database."""
        self.database, self.queries = postgresql(self.source), list(SQL)
        self._blue = list(self.queries)

    def play(self, hour: Hour) -> None:
        """Release on Tuesdays, move the traffic hour by hour, and work."""
        if hour.weekday == 1 and hour.day >= 14:
            if hour.hour == 10:
                self._blue = list(self.queries)
                at = self.source.randrange(len(self.queries))
                query = self.queries[at]
                column = f"extra_{hour.day}"
                self.queries[at] = query._replace(text=query.text.replace("SELECT id", f"SELECT id, {column}", 1))
                self._old, self._new = self.running, [self.start_pod(f"2026.{hour.day}")]
            if 10 <= hour.hour < 14:
                share = (hour.hour - 9) / 5
                self.ordinary(hour, self.database, self._blue, self.per_hour * (1 - share), self._old)
                self.ordinary(hour, self.database, self.queries, self.per_hour * share, self._new)
                return
            if hour.hour == 14:
                self.running = [self.start_pod(f"2026.{hour.day}") for _ in self._old]
                if hour.day == 29:  # rolled back
                    self.running, self.queries = self._old, self._blue
        self.ordinary(hour, self.database, self.queries)
