"""Typical calls of an app that uses PyMySQL, over verified TLS."""

import tempfile
from collections.abc import Callable
from typing import Any

import pymysql
from pymysql.cursors import DictCursor, SSCursor

SERVICES = ("mariadb",)


def _connect(server: Any, **options: Any) -> Any:
    merged: dict[str, Any] = {
        "host": "localhost", "port": server.port, "user": server.user, "password": server.password,
        "database": "mysql", "ssl": {"ca": server.ca_file}, **options,
    }  # fmt: skip
    return pymysql.connect(**merged)


def calls(services: dict[str, Any]) -> list[object]:
    seen: list[object] = []
    connection = _connect(services["mariadb"], local_infile=True)
    with connection, connection.cursor() as cursor:
        seen.append(
            cursor.execute("create temporary table test_item (id integer auto_increment primary key, name text)")
        )
        seen.append(cursor.executemany("insert into test_item (name) values (%s)", [("a",), ("b",), ("c",)]))
        seen.append(cursor.execute("select name from test_item where id > %s", (1,)))
        seen.append(cursor.fetchall())
        seen.append(cursor.execute("update test_item set name = 'x'"))
        connection.commit()
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write("9\tnine\n")
            file.flush()
            seen.append(cursor.execute("load data local infile %s into table test_item", (file.name,)))
        with connection.cursor(DictCursor) as by_name:
            by_name.execute("select 1 as one")
            seen.append(by_name.fetchone())
        with connection.cursor(SSCursor) as unbuffered:
            unbuffered.execute("select seq from seq_1_to_2500")
            seen.append(len(unbuffered.fetchmany(100)) + sum(1 for _ in unbuffered))
        try:
            cursor.execute("select * from nothing")
        except pymysql.err.ProgrammingError as error:
            seen.append(error.args)
        connection.ping(reconnect=False)
        connection.select_db("information_schema")
        connection.rollback()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["mariadb"]

    def closed() -> None:
        connection = _connect(server)
        connection.close()
        connection.cursor().execute("select 1")

    return [
        lambda: _connect(server, password="wrong"),
        lambda: _connect(server, port=1),
        lambda: _connect(server, ssl={"ca": __file__}),
        lambda: _connect(server).cursor().execute("selec 1"),
        lambda: _connect(server).cursor().execute(),
        lambda: _connect(server).cursor().execute("select %s", (1, 2)),
        lambda: _connect(server).cursor(SSCursor).execute("selec 1"),
        lambda: _connect(server).cursor().callproc("nothing"),
        lambda: _connect(server).select_db("nowhere"),
        closed,
    ]
