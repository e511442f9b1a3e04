"""A deploy: a migration, then the app's next release. Statements are at known and new call sites."""

from collections.abc import Mapping

from backwatch.attack.baseline.workloads import (
    NEXT_RELEASE,
    RELEASE,
    Phase,
    Process,
    WorkloadConfig,
    minutely,
    once,
    past,
    run,
)
from backwatch.attack.baseline.workloads._shop import ShopWorkload

MOVED_LINES = 23
_AT_S = 1_200.0


def _worker(begins_s: float) -> Process:
    rounds = minutely("hour", 6, begins_s, 3_600)
    return Process((Phase(*rounds),), NEXT_RELEASE)


class Deploy(ShopWorkload):
    """The next release reads one more column, renames and adds a function. It runs on two workers."""

    title = "a migration, then a new release: known functions send other statements, functions are renamed and added"
    naive = "tables are altered, and places that sent the same statement for weeks send another one"
    drivers = ("psycopg", "psycopg2", "pymysql", "sqlite3")
    processes = (
        Process((past(), minutely("hour", 6, 0, _AT_S))),
        Process((once("migration", 1, _AT_S, 20),), NEXT_RELEASE),
        _worker(_AT_S + 60),
        _worker(_AT_S + 90),
    )

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._next = config.release == NEXT_RELEASE
        if self._next and config.driver == "sqlite3":
            self._migrate()  # each process has its own SQLite database

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """Return the app's code. The next release's lines have other numbers."""
        (text,) = super().sources(driver, release).values()
        return {"app.py": text if release == RELEASE else "#\n" * MOVED_LINES + text}

    def work(self, phase: str, number: int) -> None:
        """Do this release's work."""
        if phase == "migration":
            if self.config.driver != "sqlite3":
                self._migrate()
            return
        self._orders(number)
        self._basket(number)
        self._count()
        if self._next:
            self._say_thanks(number)
            self._recommended(number)
        else:
            self._thank(number)

    def _migrate(self) -> None:
        for statement in (
            "ALTER TABLE sales ADD COLUMN note TEXT",
            "CREATE INDEX sales_by_customer ON sales (customer, day)",
            "CREATE TABLE recommended (id INTEGER PRIMARY KEY, customer TEXT, goods TEXT)",
            "UPDATE sales SET note = 'old' WHERE day < 3",
            "INSERT INTO recommended VALUES (1, 'customer 3', 'pears')",
        ):
            with self.cursor() as cursor:
                cursor.execute(statement)

    def _orders(self, number: int) -> None:
        columns = "id, total, note" if self._next else "id, total"
        statement = f"SELECT {columns} FROM sales WHERE customer = {self.one} ORDER BY id LIMIT 20"
        with self.cursor() as cursor:
            cursor.execute(statement, (f"customer {number % 20}",))
            cursor.fetchall()

    def _basket(self, number: int) -> None:
        statement = f"SELECT goods FROM baskets WHERE id = {self.one}"
        if self._next:
            statement = (
                f"SELECT b.goods, s.total FROM baskets b LEFT JOIN sales s ON s.id = b.id WHERE b.id = {self.one}"
            )
        with self.cursor() as cursor:
            cursor.execute(statement, (number % 20,))
            cursor.fetchall()

    def _count(self) -> None:
        with self.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM sales WHERE day > 38")
            cursor.fetchall()

    def _thank(self, number: int) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"UPDATE baskets SET version = version + 1 WHERE id = {self.one}", (number % 20,))

    def _say_thanks(self, number: int) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"UPDATE baskets SET version = version + 1 WHERE id = {self.one}", (number % 20,))

    def _recommended(self, number: int) -> None:
        statement = f"SELECT goods FROM recommended WHERE customer = {self.one}"
        with self.cursor() as cursor:
            cursor.execute(statement, (f"customer {number % 20}",))
            cursor.fetchall()


if __name__ == "__main__":
    run(Deploy)
