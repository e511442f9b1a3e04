"""Typical calls of an app that uses mysql-connector-python, over verified TLS: in Python, in C if it loads, asyncio."""

import asyncio
import contextlib
import importlib
import tempfile
from collections.abc import Callable
from typing import Any

import mysql.connector
from mysql.connector import errorcode

SERVICES = ("mariadb",)


def _options(server: Any, **options: Any) -> dict[str, Any]:
    return {
        "host": "localhost", "port": server.port, "user": server.user, "password": server.password,
        "database": "mysql", "ssl_ca": server.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True,
        "charset": "utf8mb4", **options,
    }  # fmt: skip


def _connect(server: Any, **options: Any) -> Any:
    connect: Any = mysql.connector.connect
    return connect(**_options(server, **{"use_pure": True, **options}))


def _query(connection: Any) -> list[object]:
    seen: list[object] = []
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("create temporary table test_item (id integer auto_increment primary key, name text)")
        cursor.executemany("insert into test_item (name) values (%s)", [("a",), ("b",), ("c",)])
        seen.append(cursor.rowcount)
        cursor.execute("select name from test_item where id > %s", (1,))
        seen.append(cursor.fetchall())
        cursor.execute("update test_item set name = 'x'")
        seen.append(cursor.rowcount)
        connection.commit()
        cursor.execute("select cast('x' as signed)")
        seen.append(cursor.fetchone())
        try:
            cursor.execute("select * from nothing")
        except mysql.connector.ProgrammingError as error:
            seen.append(error.errno == errorcode.ER_NO_SUCH_TABLE)
    for options in ({"buffered": True}, {"dictionary": True}, {"prepared": True}):
        with contextlib.closing(connection.cursor(**options)) as cursor:
            cursor.execute("select seq as a from seq_1_to_2500 where seq > %s", (500,))
            seen.append(len(cursor.fetchmany(10)) + len(cursor.fetchall()))
    connection.ping()
    connection.database = "information_schema"
    connection.database = "mysql"
    connection.rollback()
    return seen


def calls(services: dict[str, Any]) -> list[object]:
    server, seen = services["mariadb"], []
    with contextlib.closing(_connect(server, allow_local_infile=True)) as connection:
        seen += _query(connection)
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file, connection.cursor() as cursor:
            file.write("9\tnine\n")
            file.flush()
            cursor.execute("create temporary table test_file (id integer, name text)")
            cursor.execute(f"load data local infile '{file.name}' into table test_file")
            seen.append(cursor.rowcount)
    if mysql.connector.HAVE_CEXT:
        with contextlib.closing(_connect(server, use_pure=False)) as connection:
            seen += _query(connection)
    try:
        aio: Any = importlib.import_module("mysql.connector.aio")
    except ModuleNotFoundError:  # before 8.2
        return seen
    seen += asyncio.run(_query_in_a_loop(aio, server))
    return seen


async def _query_in_a_loop(aio: Any, server: Any) -> list[object]:
    seen: list[object] = []
    options = {name: value for name, value in _options(server).items() if not name.startswith("ssl_")}
    connection = await aio.connect(**options)  # which requires a client key beside any authority
    cursor = await connection.cursor()
    await cursor.execute("select seq from seq_1_to_5")
    seen.append(await cursor.fetchall())
    await cursor.close()
    await connection.commit()
    await connection.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["mariadb"]

    def closed() -> None:
        connection = _connect(server)
        connection.close()
        connection.cursor().execute("select 1")

    def failing(call: Callable[[Any], object]) -> Callable[[], object]:
        def run() -> None:
            with contextlib.closing(_connect(server)) as connection:
                call(connection)

        return run

    return [
        lambda: _connect(server, password="wrong"),
        lambda: _connect(server, port=1),
        lambda: _connect(server, ssl_ca=__file__),
        lambda: _connect(server, nothing=1),
        lambda: _connect(server).cursor().execute("select 1"),  # a cursor does not keep its connection alive
        failing(lambda connection: connection.cursor().execute("selec 1")),
        failing(lambda connection: connection.cursor().execute()),
        failing(lambda connection: connection.cursor().execute("select %s", (1, 2))),
        failing(lambda connection: connection.cursor(prepared=True).execute("selec 1")),
        failing(lambda connection: connection.cursor().callproc("nothing")),
        failing(lambda connection: connection.cmd_init_db("nowhere")),
        closed,
    ]
