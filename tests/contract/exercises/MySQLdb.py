"""Typical calls of an app that uses mysqlclient, over TLS."""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

MULTI_STATEMENTS = 1 << 16
SERVICES = ("mysqlclient", "mariadb")


def _connect(services: dict[str, Any], **options: Any) -> Any:
    server = services["mariadb"]
    merged: dict[str, Any] = {
        "host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password,
        "database": "mysql", "ssl": {"ca": server.ca_file}, "client_flag": MULTI_STATEMENTS, **options,
    }  # fmt: skip
    return services["mysqlclient"].connect(**merged)


def calls(services: dict[str, Any]) -> list[object]:
    seen: list[object] = []
    driver, server = services["mysqlclient"], services["mariadb"]
    cursors: Any = importlib.import_module("MySQLdb.cursors")
    with contextlib.closing(_connect(services)) as connection, contextlib.closing(connection.cursor()) as cursor:
        seen.append(
            cursor.execute("create temporary table test_item (id integer auto_increment primary key, name text)")
        )
        seen.append(cursor.executemany("insert into test_item (name) values (%s)", [("a",), ("b",), ("c",)]))
        seen.append(cursor.execute("select name from test_item where id > %s", (1,)))
        seen.append(cursor.fetchall())
        seen.append(cursor.execute("update test_item set name = 'x'"))
        connection.commit()
        seen.append(cursor.execute("select cast('x' as signed)"))
        seen.append(cursor.fetchone())
        seen.append(cursor.execute("select 1; select 2"))
        while True:
            seen.append(cursor.fetchall())
            if not cursor.nextset():
                break
        with contextlib.closing(connection.cursor(cursors.DictCursor)) as by_name:
            by_name.execute("select 1 as one")
            seen.append(by_name.fetchone())
        with contextlib.closing(connection.cursor(cursors.SSCursor)) as unbuffered:
            unbuffered.execute("select seq from seq_1_to_2500")
            seen.append(len(unbuffered.fetchmany(100)) + sum(1 for _ in unbuffered))
        try:
            cursor.execute("select * from nothing")
        except driver.ProgrammingError as error:
            seen.append(error.args)
        connection.autocommit(True)
        connection.ping()
        connection.select_db("information_schema")
        connection.change_user(server.user, server.password, "mysql")
        connection.rollback()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    cursors: Any = importlib.import_module("MySQLdb.cursors")

    def closed() -> None:
        connection = _connect(services)
        connection.close()
        connection.cursor().execute("select 1")

    return [
        lambda: _connect(services, password="wrong"),
        lambda: _connect(services, port=1),
        lambda: _connect(services, ssl={"ca": __file__}),
        lambda: _connect(services, nothing=1),
        lambda: _connect(services).cursor().execute("selec 1"),
        lambda: _connect(services).cursor().execute(),
        lambda: _connect(services).cursor().execute("select %s", (1, 2)),
        lambda: _connect(services).cursor(cursors.SSCursor).execute("selec 1"),
        lambda: _connect(services).cursor().callproc("nothing"),
        lambda: _connect(services).select_db("nowhere"),
        lambda: _connect(services).change_user("absent", "x", "mysql"),
        closed,
    ]
