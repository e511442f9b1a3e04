"""Typical calls of an app that uses psycopg 3, over verified TLS."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

SERVICES = ("postgresql",)


def calls(services: dict[str, Any]) -> list[object]:
    url = services["postgresql"].tls_url
    return [*_in_turn(url), *asyncio.run(_asynchronously(url))]


def _in_turn(url: str) -> list[object]:
    seen: list[object] = []
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table item (id serial, name text)")
        cursor.executemany("insert into item (name) values (%s)", [("a",), ("b",), ("c",)])
        seen.append(cursor.rowcount)
        seen.append(cursor.execute("select name from item where id > %s", (1,)).fetchall())
        seen.append(cursor.execute(sql.SQL("select {} from item").format(sql.Identifier("name"))).fetchone())
        seen.append(cursor.execute("insert into item (name) values ('d') returning id").fetchall())
        seen.append(list(cursor.stream("select id from item order by id")))
        with cursor.copy("copy item (name) from stdin") as copy:
            copy.write_row(("e",))
        seen.append(cursor.rowcount)
        with cursor.copy("copy item (name) to stdout") as copy:
            seen.append(list(copy.rows()))
        connection.commit()
        with connection.cursor("named") as named:
            named.execute("select generate_series(1, 250)")
            seen.append(len(named.fetchmany(100)) + sum(1 for _ in named))
        connection.execute("do $$ begin raise notice 'low'; end $$")
        with connection.transaction():
            connection.execute("update item set name = name", prepare=True)
        with connection.pipeline():
            piped = connection.execute("select 7")
            seen.append(piped.fetchone())
        try:
            connection.execute("select * from nothing")
        except psycopg.errors.UndefinedTable as error:
            seen.append(error.sqlstate)
        connection.rollback()
    return seen


async def _asynchronously(url: str) -> list[object]:
    seen: list[object] = []
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select generate_series(1, 3)")
        seen.append(await cursor.fetchall())
        await connection.commit()
        seen.append([row async for row in connection.cursor().stream("select generate_series(1, 4)")])
        async with connection.cursor("named") as named:
            await named.execute("select generate_series(1, 5)")
            seen.append(await named.fetchall())
        async with connection.cursor().copy("copy (select 1) to stdout") as copy:
            seen.append([bytes(block) async for block in copy])
        async with connection.transaction(), connection.pipeline():
            await connection.execute("select 8")
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["postgresql"]

    def closed() -> None:
        with psycopg.connect(server.url) as connection:
            pass
        connection.execute("select 1")

    def abandoned() -> None:
        with psycopg.connect(server.url) as connection, connection.cursor().copy("copy (select 1) to stdout"):
            raise KeyError("the app's own")

    return [
        lambda: psycopg.connect(server.url, password="wrong"),
        lambda: psycopg.connect(server.url, port=1),
        lambda: psycopg.connect("no such = option"),
        lambda: psycopg.connect(server.url).execute("selec 1"),
        lambda: psycopg.connect(server.url).execute(42),  # type: ignore[call-overload]
        lambda: psycopg.connect(server.url).execute(),  # type: ignore[call-overload]
        lambda: psycopg.connect(server.url).cursor().executemany("select %s", [(1, 2)]),
        lambda: psycopg.connect(server.url).cursor("named").execute("selec 1"),
        lambda: list(psycopg.connect(server.url).cursor().stream("selec 1")),
        closed,
        abandoned,
    ]
