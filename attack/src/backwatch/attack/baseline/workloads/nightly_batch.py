"""A nightly batch reads far more than the day does. A monthly report reads three times as much."""

from backwatch.attack.baseline.workloads import Process, daily, minutely, once, past, run
from backwatch.attack.baseline.workloads._shop import ShopWorkload

BY_NIGHT = 4_000
BY_MONTH = 12_000
_AT_S = 900.0


class NightlyBatch(ShopWorkload):
    """Pages of twenty by day, and some thousand rows by night. The monthly report runs once."""

    title = "a batch that reads 200 times a page each night at the same hour, and the month's report, three times that"
    naive = "rows and bytes leave in unusual volume"
    processes = (
        Process((
            past(), daily("night", 2, _AT_S, 300), minutely("hour"), once("night", 2, _AT_S, 300),
            once("month", 1, _AT_S + 600, 60),
        )),
    )  # fmt: skip

    def work(self, phase: str, number: int) -> None:
        """Do the work of the day, the night or the month."""
        if phase == "night":
            self._exported(BY_NIGHT - number * 100)
        elif phase == "month":
            self._exported(BY_MONTH)
        else:
            self._page(number)

    def _page(self, number: int) -> None:
        statement = f"SELECT id, customer, total FROM sales WHERE day = {self.one} ORDER BY id LIMIT 20"
        with self.cursor() as cursor:
            cursor.execute(statement, (number % 40,))
            cursor.fetchall()

    def _exported(self, count: int) -> None:
        statement = f"SELECT id, day, customer, total FROM sales WHERE id < {self.one} ORDER BY id"
        with self.cursor() as cursor:
            cursor.execute(statement, (count,))
            cursor.fetchall()


if __name__ == "__main__":
    run(NightlyBatch)
