"""Typical calls of an app that uses psycopg2, over verified TLS."""

import io
import select
from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.extras
from psycopg2 import extensions, sql

SERVICES = ("postgresql",)


def calls(services: dict[str, Any]) -> list[object]:
    url = services["postgresql"].tls_url
    seen: list[object] = []
    opened: Any = psycopg2.connect(url)
    with opened as connection, connection.cursor() as cursor:
        seen += [isinstance(connection, extensions.connection), isinstance(cursor, extensions.cursor)]
        cursor.execute("create temporary table item (id serial, name text)")
        cursor.executemany("insert into item (name) values (%s)", [("a",), ("b",)])
        psycopg2.extras.execute_values(cursor, "insert into item (name) values %s", [("c",), ("d",)])
        seen.append(cursor.rowcount)
        cursor.execute("select name from item where id > %s", (1,))
        seen.append(cursor.fetchall())
        cursor.execute(sql.SQL("select {} from item").format(sql.Identifier("name")))
        seen.append(cursor.fetchone())
        cursor.execute("insert into item (name) values ('d') returning id")
        seen.append(list(cursor))
        cursor.callproc("abs", (-3,))
        seen.append(cursor.fetchall())
        cursor.copy_from(io.StringIO("e\nf\n"), "item", columns=("name",))
        seen.append(cursor.rowcount)
        out = io.StringIO()
        cursor.copy_expert("copy item (name) to stdout", out)
        seen.append(out.getvalue())
        connection.commit()
        with connection.cursor("named", cursor_factory=psycopg2.extras.RealDictCursor) as named:
            named.execute("select generate_series(1, 2500) as n")
            seen.append(len(named.fetchmany(100)) + sum(1 for _ in named))
        psycopg2.extras.register_default_json(connection)
        try:
            cursor.execute("select * from nothing")
        except psycopg2.errors.UndefinedTable as error:
            seen.append(error.pgcode)
        connection.rollback()
    connection.close()
    return [*seen, *_driven_by_poll(url)]


def _driven_by_poll(url: str) -> list[object]:
    connection = psycopg2.connect(url, async_=True)
    _wait(connection)
    cursor = connection.cursor()
    cursor.execute("select 5")
    _wait(connection)
    seen = cursor.fetchall()
    connection.close()
    return [seen]


def _wait(connection: Any) -> None:
    while (state := connection.poll()) != extensions.POLL_OK:
        if state == extensions.POLL_READ:
            select.select([connection], [], [], 10)
        else:
            select.select([], [connection], [], 10)


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["postgresql"]

    def closed() -> None:
        connection = psycopg2.connect(server.url)
        connection.close()
        connection.cursor()

    return [
        lambda: psycopg2.connect(server.url, password="wrong"),
        lambda: psycopg2.connect(server.url, port=1),
        lambda: psycopg2.connect("no such = option"),
        lambda: psycopg2.connect(),  # noqa: PLW0108  looked up when called
        lambda: psycopg2.connect(server.url, connection_factory=dict),  # type: ignore[arg-type]
        lambda: psycopg2.connect(server.url).cursor().execute("selec 1"),
        lambda: psycopg2.connect(server.url).cursor().execute(),  # type: ignore[call-arg]
        lambda: psycopg2.connect(server.url).cursor().fetchone(),
        lambda: psycopg2.connect(server.url).cursor("named").fetchone(),
        lambda: psycopg2.connect(server.url).cursor(cursor_factory=dict),  # type: ignore[arg-type]
        closed,
    ]
