"""Three deploys a day of an app that does not report its version."""

from typing import Final

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import postgresql

DEPLOYS: Final = (9, 13, 16)
COLUMNS: Final = ("brand", "weight", "colour", "size", "vendor_id", "tax_class", "unit", "badge", "origin", "season")


class DeploysWithoutVersion(YearScenario):
    """Each deploy replaces all processes, and changes or adds one or two statements."""

    title = "three deploys a day, each with a changed statement, every third with a new call site, and no version"
    naive = "a settled call site sends a statement that it never sent"
    release = ""
    per_hour = 300
    blocks = 8

    def set_up(self) -> None:
        """Make the database."""
        self.database, self.queries, self._deploys = postgresql(self.source), list(SQL), 0

    def play(self, hour: Hour) -> None:
        """Deploy on weekdays, and work."""
        if hour.hour in DEPLOYS and hour.weekday < 5:
            self._deploy()
        self.ordinary(hour, self.database, self.queries)

    def _deploy(self) -> None:
        self._deploys += 1
        self.running = [self.start_pod("") for _ in self.running]
        at = self.source.randrange(len(self.queries))
        self.queries[at] = self._changed(self.queries[at])
        if self._deploys % 3 == 0:
            table = f"feature_{self._deploys}"
            text = f"SELECT id, state, created_at FROM {table} WHERE user_id = ? ORDER BY created_at DESC LIMIT ?"
            self.queries.append(Query(text, f"shop/{table}.py:load", f"/{table}", 4, 80, 3))
        if len(self.queries) > 24:
            self.queries.pop(self.source.randrange(12, 20))

    def _changed(self, query: Query) -> Query:
        column = f"{self.source.choice(COLUMNS)}_{self._deploys}"
        text = query.text
        kind = self.source.randrange(4)
        if text.startswith("SELECT id") and kind < 2:
            text = text.replace("SELECT id", f"SELECT id, {column}", 1)
        elif " WHERE " in text and kind == 2:
            text = text.replace(" WHERE ", f" WHERE {column} = ? AND ", 1)
        elif text.startswith("SELECT id") and " WHERE " in text:
            details = f"details_{self._deploys}"
            text = text.replace(" WHERE ", f" LEFT JOIN {details} ON {details}.id = id WHERE ", 1)
        elif text.startswith("UPDATE"):
            text = text.replace(" SET ", f" SET {column} = ?, ", 1)
        return query._replace(text=text)
