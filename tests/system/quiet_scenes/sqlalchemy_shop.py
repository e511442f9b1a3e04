"""SQLAlchemy on PostgreSQL and MariaDB: reflection, lazy loads, a search form, a migration and the next release."""

import random
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, orm

from backwatch.attack.baseline.workloads import NEXT_RELEASE, Process, WorkloadConfig, daily, minutely, once, past, run
from tests.system.quiet_scenes.real import RealScene

NIGHT_S = 600.0


class Base(orm.DeclarativeBase):
    """All tables."""


class Customer(Base):
    """A customer."""

    __tablename__ = "customer"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(80), unique=True)
    orders: orm.Mapped[list["Order"]] = orm.relationship(back_populates="customer")


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    day: orm.Mapped[int]
    goods: orm.Mapped[str] = orm.mapped_column(sa.String(80))
    version: orm.Mapped[int] = orm.mapped_column(default=0)
    customer_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("customer.id"))
    customer: orm.Mapped[Customer] = orm.relationship(back_populates="orders")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  as SQLAlchemy's own pages write it


class SqlalchemyShop(RealScene):
    """The whole life of an app: it creates its schema, works for a week, is migrated, and works on."""

    title = "SQLAlchemy: reflection, N+1, a search form, bulk inserts, duplicates, a migration, the next release"
    naive = "the catalogue is read, tables are altered, and places send statements that they never sent"
    drivers = ("psycopg", "psycopg2", "pymysql")
    processes = (
        Process((
            once("schema", 1, -9 * 86_400, 60), past(96), daily("night", 1, NIGHT_S, 60),
            minutely("hour", 24, 0, 1_440), once("night", 1, NIGHT_S, 60),
        )),
        Process((once("migration", 1, 1_500, 30),), NEXT_RELEASE),
        Process((minutely("hour", 30, 1_560, 3_600), once("tool", 1, 1_800, 20)), NEXT_RELEASE),
    )  # fmt: skip

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._random = random.Random(config.driver)
        maria = config.driver == "pymysql"
        server = self.server("mariadb" if maria else config.driver)
        tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": server["ca_file"]}
        if maria:
            tls = {"ssl_ca": server["ca_file"], "ssl_verify_cert": True, "ssl_verify_identity": True}
        url = sa.URL.create(
            f"{'mariadb' if maria else 'postgresql'}+{config.driver}", server["user"], server["password"],
            server["host"], server["port"], server["database"],
        )  # fmt: skip
        self._engine = sa.create_engine(url, connect_args=tls, pool_pre_ping=True, pool_size=2)
        self._next = config.release == NEXT_RELEASE
        self._tables: Any = None

    def work(self, phase: str, number: int) -> None:
        """Run one round of the workload."""
        if phase == "schema":
            self._create()
        elif phase == "migration":
            self._migrate()
        elif phase == "tool":
            sa.MetaData().reflect(self._engine)
            sa.inspect(self._engine).get_view_names()
        elif phase == "night":
            self._export()
        else:
            self._round(number)

    def _create(self) -> None:
        Base.metadata.create_all(self._engine)
        with orm.Session(self._engine) as session:
            session.add_all([Customer(id=i + 1, name=f"customer {i}") for i in range(20)])
            session.flush()
            orders = [Order(day=i % 40, goods="two apples", customer_id=i % 20 + 1) for i in range(2_500)]
            session.add_all(orders)
            session.commit()

    def _migrate(self) -> None:
        with self._engine.begin() as connection:
            for statement in (
                "ALTER TABLE orders ADD COLUMN note VARCHAR(80)", "CREATE INDEX orders_by_day ON orders (day, goods)",
                "CREATE INDEX doomed ON orders (goods)", "UPDATE orders SET note = 'old' WHERE day < 3",
            ):  # fmt: skip
                connection.exec_driver_sql(statement)

    def _round(self, number: int) -> None:
        if self._tables is None:
            known = sa.MetaData()
            known.reflect(self._engine, only=["orders"])
            self._tables = known.tables
        with orm.Session(self._engine) as session:
            self._list(session, number)
            self._search(session)
            self._chosen(session)
            self._bought(session)
            self._register(session, number)

    def _list(self, session: orm.Session, number: int) -> None:
        found = session.scalars(sa.select(Order).where(Order.day == number % 40).limit(8)).all()
        for one in found:
            assert one.customer.name
        if self._next:
            orders = self._tables["orders"]
            session.execute(sa.select(orders.c.id, orders.c.note).where(orders.c.day == number % 40).limit(8)).all()

    def _search(self, session: orm.Session) -> None:
        query = sa.select(Order.id, Order.goods)
        for condition in (Order.day > 3, Order.goods.like("%apples%"), Order.customer_id == 7, Order.version >= 0):
            if self._random.random() < 0.5:
                query = query.where(condition)
        if self._random.random() < 0.5:
            query = query.order_by(self._random.choice((Order.day, Order.id.desc())))
        session.execute(query.limit(20).offset(20 * self._random.randrange(5))).all()

    def _chosen(self, session: orm.Session) -> None:
        ids = [self._random.randrange(2_000) for _ in range(self._random.randint(1, 15))]
        session.scalars(sa.select(Order).where(Order.id.in_(ids))).all()

    def _bought(self, session: orm.Session) -> None:
        count = self._random.randint(1, 12)
        session.add_all([Order(day=41, goods="pears", customer_id=3) for _ in range(count)])
        session.commit()
        one = session.scalars(sa.select(Order).where(Order.day == 41).limit(1)).one()
        one.goods = self._random.choice(("pears", "plums"))
        session.commit()

    def _register(self, session: orm.Session, number: int) -> None:
        if number % 3 == 0:
            session.add(Customer(name="customer 3"))
            try:
                session.commit()
            except exc.IntegrityError:
                session.rollback()

    def _export(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(sa.select(Order.id, Order.day, Order.goods, Order.customer_id)).all()


if __name__ == "__main__":
    run(SqlalchemyShop)
