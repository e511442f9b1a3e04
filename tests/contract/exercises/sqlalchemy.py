"""Typical calls of an app that uses SQLAlchemy, on drivers without a probe here: sqlite3, psycopg, asyncpg."""

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

SERVICES = ("postgresql",)
PSYCOPG = "psycopg2" if sa.__version__.startswith("1.") else "psycopg"


def url_of(server: Any, driver: str) -> Any:
    return make_url(server.url).set(drivername=f"postgresql+{driver}")


def calls(services: dict[str, Any]) -> list[object]:
    server = services["postgresql"]
    on_postgresql = sa.create_engine(url_of(server, PSYCOPG), future=True, pool_pre_ping=True)
    seen = [*_work(sa.create_engine("sqlite://", future=True)), *_work(on_postgresql)]
    with on_postgresql.connect().execution_options(stream_results=True, max_row_buffer=10) as connection:
        seen.append(sum(1 for _ in connection.execute(sa.text("select generate_series(1, 25)"))))
        seen.append(len(connection.execute(sa.text("select generate_series(1, 25)")).fetchmany(7)))
    on_postgresql.dispose()
    return [*seen, *asyncio.run(_asynchronously(url_of(server, "asyncpg")))]


def _work(engine: Engine) -> list[object]:
    seen: list[object] = []
    items = sa.Table("item", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text),
                     prefixes=["TEMPORARY"])  # fmt: skip
    with engine.connect() as connection:
        items.create(connection)
        connection.execute(items.insert(), [{"name": name} for name in "abc"])
        seen.append(connection.execute(sa.select(items.c.name).order_by(items.c.id)).scalars().all())
        seen.append(connection.execute(items.update().where(items.c.id > 1).values(name="x")).rowcount)
        seen.append(connection.scalar(sa.select(sa.func.count()).select_from(items)))
        connection.commit()
        result = connection.execute(sa.select(items))
        seen.append(tuple(result.fetchone() or ()))
        result.close()
        seen.append([tuple(row) for row in connection.execute(sa.select(items.c.id))])
        try:
            connection.execute(sa.text("select * from nothing"))
        except DBAPIError as error:
            seen.append(type(error.orig).__name__)
        connection.rollback()
    return seen


async def _asynchronously(url: Any) -> list[object]:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        seen: list[object] = [(await connection.execute(sa.text("select generate_series(1, 3)"))).scalars().all()]
        stream = await connection.stream(sa.text("select generate_series(1, 9)"))
        seen.append([row[0] async for row in stream])
    await engine.dispose()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["postgresql"]

    def on_sqlite(use: Callable[[Any], object]) -> Callable[[], object]:
        def run() -> object:
            with sa.create_engine("sqlite://", future=True).connect() as connection:
                return use(connection)

        return run

    return [
        lambda: sa.create_engine("sqlite:////nowhere/at/all.db").connect(),
        lambda: sa.create_engine(url_of(server, PSYCOPG).set(password="wrong", host="localhost")).connect(),
        on_sqlite(lambda connection: connection.execute(sa.text("selec 1"))),
        on_sqlite(lambda connection: connection.execute(sa.text("select :a"))),
        on_sqlite(lambda connection: connection.execute("select 1")),
        on_sqlite(lambda connection: connection.execute(sa.text("select 1")).one_or_none().nothing),
        lambda: sa.create_engine("nonsense://"),
    ]
