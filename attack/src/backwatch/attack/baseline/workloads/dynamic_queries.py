"""Statements that the app composes at run time: searches, lists of any length, pages, imports."""

import random

from backwatch.attack.baseline.workloads import PAST_DAYS, Process, WorkloadConfig, minutely, past, run
from backwatch.attack.baseline.workloads._shop import ShopWorkload


class DynamicQueries(ShopWorkload):
    """Every value is a bound parameter. Only the conditions and the number of values vary.

    No round is repeated here: the rate of new statements is the subject of this workload.
    """

    title = "a search form whose conditions are optional, IN lists and bulk inserts of any length, pages, comments"
    naive = "almost every statement is a text that was never seen before"
    processes = (Process((past(PAST_DAYS * 24), minutely(rounds=60))),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._random = random.Random(config.driver)
        self._next = 100_000

    def work(self, phase: str, number: int) -> None:
        """Search, look at the chosen goods, turn pages, and import a feed."""
        del phase
        for _ in range(2):
            self._search()
        self._chosen([self._random.randrange(ORDERS) for _ in range(self._random.randint(1, 12))])
        self._page(number)
        self._imported(self._random.randint(1, 25))
        self._traced(number)

    def _search(self) -> None:
        fields = {"customer = ": "customer 3", "day >= ": 3, "day < ": 30, "total <> ": "0", "id > ": 10}
        chosen = {name: value for name, value in fields.items() if self._random.random() < 0.5}
        where = " AND ".join(name + self.one for name in chosen)
        statement = "SELECT id, customer, total FROM sales" + (f" WHERE {where}" if where else "")
        if self._random.random() < 0.5:
            statement += " ORDER BY " + self._random.choice(("id", "total DESC", "day, id"))
        with self.cursor() as cursor:
            cursor.execute(statement + f" LIMIT {self._random.choice((10, 20, 50))}", list(chosen.values()))
            cursor.fetchall()

    def _chosen(self, ids: list[int]) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"SELECT id, total FROM sales WHERE id IN ({self.placeholders(len(ids))})", ids)
            cursor.fetchall()

    def _page(self, number: int) -> None:
        statement = f"SELECT id, customer FROM sales ORDER BY id LIMIT {self.one} OFFSET {self.one}"
        with self.cursor() as cursor:
            cursor.execute(statement, (20, 20 * (number % 9)))
            cursor.fetchall()

    def _imported(self, count: int) -> None:
        values = ", ".join([f"({self.placeholders(3)})"] * count)
        first, self._next = self._next, self._next + count
        parameters = [parameter for i in range(count) for parameter in (first + i, "import", f"row {i}")]
        with self.cursor() as cursor:
            cursor.execute(f"INSERT INTO events (id, kind, detail) VALUES {values}", parameters)

    def _traced(self, number: int) -> None:
        trace = f"{self._random.getrandbits(128):032x}-{self._random.getrandbits(64):016x}"
        comment = f"/*controller='orders',route='/orders/{number}',traceparent='00-{trace}-01'*/"
        with self.cursor() as cursor:
            cursor.execute(f"SELECT id, goods FROM baskets WHERE customer = {self.one} {comment}", ("customer 3",))
            cursor.fetchall()


ORDERS = 6_000

if __name__ == "__main__":
    run(DynamicQueries)
