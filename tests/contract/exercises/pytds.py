"""Typical calls of an app that uses pytds, over verified TLS."""

from collections.abc import Callable
from typing import Any

import pytds

from tests.services.databases.sqlserver import ELSEWHERE
from tests.services.server import HOST

SERVICES = ("sqlserver",)
driver: Any = pytds


def _connect(server: Any, **options: Any) -> Any:
    merged: dict[str, Any] = {
        "dsn": "localhost", "port": server.port, "user": server.user, "password": server.password, "database": "shop",
        "cafile": server.ca_file, "login_timeout": 60, **options,  # the first attempt gets a twelfth of it
    }  # fmt: skip
    return driver.connect(**merged)


def calls(services: dict[str, Any]) -> list[object]:
    server, seen = services["sqlserver"], []
    with _connect(server) as connection:
        cursor = connection.cursor()
        cursor.execute("drop table if exists exercise")
        cursor.execute("create table exercise (a integer unique, b text)")
        cursor.executemany("insert into exercise values (%s, %s)", [(1, "x"), (2, "y")])
        seen.append(cursor.rowcount)
        cursor.execute("select a, b from exercise where a > %(low)s order by a", {"low": 0})
        seen += cursor.fetchall()
        cursor.execute("print 'good morning'")
        seen.append(len(cursor.messages))
        connection.commit()
        cursor.callproc("sp_who")
        seen += cursor.fetchall()
        cursor.execute("select 1 as one; select 2 as two")
        seen += [cursor.fetchone(), cursor.nextset(), cursor.fetchone()]
        seen.append(cursor.execute_scalar("select 5 as five"))
        cursor.copy_to(table_or_view="exercise", columns=["a", "b"], data=[("3", "z")])
        connection.rollback()
        try:
            cursor.execute("select * from nowhere")
        except pytds.Error as error:
            seen.append(type(error).__name__)
    with _connect(server, dsn=HOST, database=ELSEWHERE, validate_host=False) as connection:
        seen.append(connection.autocommit)
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["sqlserver"]

    def asking(*merged: Any) -> Callable[[], object]:
        def failing() -> object:
            with _connect(server, cafile=None, autocommit=True) as connection:
                return connection.cursor().execute(*merged)

        return failing

    return [
        lambda: _connect(server, password="wrong"),
        lambda: _connect(server, dsn="localhost", port=1, login_timeout=1),
        lambda: _connect(server, nothing=1),
        lambda: _connect(server, dsn="127.0.0.2.invalid", login_timeout=1),
        asking("selec 1"),
        asking("select * from nowhere"),
        asking("select %s, %s", (1,)),
        asking(),
    ]
