"""An ORM at work. It reads the catalogue, loads rows one by one, and has statements of its own."""

from typing import Any

from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, once, past, run
from backwatch.attack.baseline.workloads._shop import ShopWorkload, fill
from backwatch.attack.scenarios import SECRET


class Orm(ShopWorkload):
    """SQLAlchemy. A worker reflects a table when it starts, and a tool reflects all of them once."""

    title = "SQLAlchemy reflects tables at start, loads lazily (N+1), and one day a tool reflects every table"
    naive = "the catalogue is read, and table definitions for the first time"
    drivers = ("pymysql", "sqlite3")
    processes = (
        Process((past(), minutely(ends_s=1_800))),
        Process((minutely("hour", 6, 1_800, 3_600), once("tool", 1, 2_000, 20))),
    )

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        import sqlalchemy as sa

        if config.driver == "sqlite3":
            self._engine: Any = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
            with self._engine.begin() as connection:
                connection.exec_driver_sql("CREATE TABLE customers (id INTEGER, name TEXT, mail TEXT)")
                fill(connection.connection.dbapi_connection)
        else:
            url = sa.URL.create("mysql+pymysql", "shop", SECRET, "localhost", config.port, "shop")
            tls = {"ssl_ca": config.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True}
            self._engine = sa.create_engine(url, connect_args=tls, pool_pre_ping=True)
        self._tables: Any = None

    def work(self, phase: str, number: int) -> None:
        """Load pages with their parts."""
        if phase == "tool":
            self._reflect_all()
            return
        if self._tables is None:
            self._tables = self._reflect_tables()
        self._load_page(number)

    def _reflect_tables(self) -> Any:
        import sqlalchemy as sa

        known = sa.MetaData()
        known.reflect(self._engine, only=["sales", "baskets"])
        return known.tables

    def _reflect_all(self) -> None:
        import sqlalchemy as sa

        sa.MetaData().reflect(self._engine)

    def _load_page(self, number: int) -> None:
        import sqlalchemy as sa

        sales, baskets = self._tables["sales"], self._tables["baskets"]
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(sales.c.id, sales.c.customer).where(sales.c.day == number % 40).limit(10)
            )
            for row in found.all():
                connection.execute(sa.select(baskets).where(baskets.c.id == int(row.id) % 20)).all()


if __name__ == "__main__":
    run(Orm)
