"""Typical calls of an app that uses asyncpg, over verified TLS."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

SERVICES = ("postgresql",)
PICKLE = "!cos\nsystem\n(S'id'\ntR."


def calls(services: dict[str, Any]) -> list[object]:
    url = services["postgresql"].tls_url
    return [*asyncio.run(_on_a_connection(url)), *asyncio.run(_from_a_pool(url))]


async def _on_a_connection(url: str) -> list[object]:
    seen: list[object] = []
    connection = await asyncpg.connect(url)
    seen.append(isinstance(connection, asyncpg.Connection))
    seen.append(await connection.execute("create temporary table item (id serial, name text)"))
    await connection.executemany("insert into item (name) values ($1)", [("a",), ("b",), ("c",)])
    seen.append([tuple(row) for row in await connection.fetch("select name from item where id > $1", 1)])
    seen.append(await connection.fetchval("select count(*) from item"))
    seen.append(tuple(await connection.fetchrow("insert into item (name) values ('d') returning id")))
    seen.append(await connection.execute("update item set name = $1", "x"))
    statement = await connection.prepare("select id from item where id < $1")
    seen.append([tuple(row) for row in await statement.fetch(3)] + [statement.get_statusmsg()])
    async with connection.transaction():
        rows = [tuple(row) async for row in connection.cursor("select generate_series(1, 120)", prefetch=50)]
        cursor = await connection.cursor("select generate_series(1, 120)")
        seen += [len(rows), await cursor.forward(10), len(await cursor.fetch(20)), tuple(await cursor.fetchrow())]
        async with connection.transaction():
            await connection.execute("delete from item")
    out = io.BytesIO()
    seen.append(await connection.copy_records_to_table("item", records=[(1, "e"), (2, "f")]))
    seen.append(await connection.copy_from_query("select name from item", output=out) + out.getvalue().decode())
    seen += await _receive_unasked(connection)
    try:
        await connection.fetch("select * from nothing")
    except asyncpg.UndefinedTableError as error:
        seen.append((str(error), error.sqlstate))
    await connection.close()
    return seen


async def _receive_unasked(connection: Any) -> list[object]:
    """A notice, and a notification whose payload is a pickle."""
    heard: list[object] = []
    came = asyncio.Event()

    def listener(*args: Any) -> None:
        heard.append(args[2:])
        came.set()

    await connection.execute("do $$ begin raise notice 'careful'; end $$")
    await connection.add_listener("news", listener)
    await connection.execute("select pg_notify('news', $1)", PICKLE)
    await asyncio.wait_for(came.wait(), 30)
    await connection.remove_listener("news", listener)
    return heard


async def _from_a_pool(url: str) -> list[object]:
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        async with pool.acquire() as connection:
            seen: list[object] = [isinstance(connection, asyncpg.Connection), await connection.fetchval("select 7")]
        return [*seen, await pool.fetchval("select 8")]


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["postgresql"]

    def on_one(use: Callable[[Any], Coroutine[Any, Any, object]]) -> Callable[[], object]:
        async def run() -> object:
            connection = await asyncpg.connect(server.url, timeout=60)
            try:
                return await use(connection)
            finally:
                await connection.close()

        return lambda: asyncio.run(run())

    async def closed(connection: Any) -> object:
        await connection.close()
        return await connection.fetch("select 1")

    async def cancelled(connection: Any) -> object:
        return await asyncio.wait_for(connection.fetch("select pg_sleep(20)"), 0.2)

    async def outside(connection: Any) -> object:
        return await (await connection.cursor("select 1")).fetch(1)

    return [
        lambda: asyncio.run(asyncpg.connect(server.url, password="wrong")),
        lambda: asyncio.run(asyncpg.connect(server.url, port=1)),
        lambda: asyncio.run(asyncpg.connect(server.url, ssl=True)),
        lambda: asyncio.run(asyncpg.connect("nonsense://x")),
        on_one(lambda connection: connection.fetch("selec 1")),
        on_one(lambda connection: connection.execute("selec 1")),
        on_one(lambda connection: connection.fetch("select $1::int", "x")),
        on_one(lambda connection: connection.fetch()),
        on_one(lambda connection: connection.fetch(42)),
        on_one(lambda connection: connection.executemany("select $1::int", [(1, 2)])),
        on_one(lambda connection: connection.copy_from_query("selec 1", output=io.BytesIO())),
        on_one(lambda connection: connection.prepare("selec 1")),
        on_one(outside),
        on_one(closed),
        on_one(cancelled),
    ]
