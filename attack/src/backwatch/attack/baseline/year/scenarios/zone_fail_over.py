"""A database with a node in each of two zones, which swap their roles."""

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.attack.baseline.year.services import PRIVATE_CA, Node, issue, postgresql


class ZoneFailOver(YearScenario):
    """One name leads to the primary; each node has an address and a certificate of its own."""

    title = "fail-overs between two zones every one to three weeks; each node has its own certificate, verified in full"
    naive = "another server with another certificate responds at another address"
    days = 112
    per_hour = 100
    blocks = 3

    def set_up(self) -> None:
        """Make both nodes."""
        self.database = postgresql(self.source)
        first = self.database.nodes[0]
        other = issue(self.source, PRIVATE_CA, "CN=db.shop.internal", -18, 730)
        self._nodes = [first, Node("10.21.0.11", other, first.version, first.server_id)]
        self._next = 16

    def play(self, hour: Hour) -> None:
        """Fail over: half a minute of errors, then the other node responds."""
        if hour.day == self._next and hour.is_at(11):
            self._next += self.source.randrange(7, 22)
            for number in range(36):
                at_s = hour.begin_s + 2 + number * 0.9 * self.source.random()
                error, status = self.source.choice((("OperationalError", ""), ("AdminShutdown", "57P01")))
                self.call(at_s, self.database, self.source.choice(SQL), error=error, status=status)
            self._nodes.reverse()
            self.database.nodes = self._nodes[:1]
        self.ordinary(hour, self.database, SQL)
