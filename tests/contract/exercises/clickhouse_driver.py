"""Typical calls of an app that uses clickhouse-driver, over verified TLS."""

import contextlib
from collections.abc import Callable
from typing import Any

import clickhouse_driver
from clickhouse_driver import errors

SERVICES = ("clickhouse",)


def _client(server: Any, **options: Any) -> Any:
    driver: Any = clickhouse_driver
    merged: dict[str, Any] = {
        "host": "localhost", "port": server.tls_port, "user": server.user, "password": server.password,
        "secure": True, "ca_certs": server.ca_file, **options,
    }  # fmt: skip
    return driver.Client(**merged)


def calls(services: dict[str, Any]) -> list[object]:
    server, seen = services["clickhouse"], []
    with contextlib.closing(_Closing(_client(server))) as made:
        client = made.client
        client.execute("drop table if exists exercise")
        client.execute("create table exercise (a Int32, b String) engine = Memory")
        seen.append(client.execute("insert into exercise (a, b) values", [(1, "x"), (2, "y")]))
        seen.append(client.execute("select a, b from exercise where a > %(a)s order by a", {"a": 0}))
        seen.append(sum(1 for _ in client.execute_iter("select number from system.numbers limit 2500")))
        seen.append(client.execute_with_progress("select 1").get_result())
        client.execute("drop table exercise")
        try:
            client.execute("select * from nothing")
        except errors.ServerException as error:
            seen.append(error.code)
    connection: Any = clickhouse_driver.connect(server.tls_url)
    with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select 1, 'x'")
        seen.append(cursor.fetchall())
    return seen


class _Closing:
    def __init__(self, client: Any) -> None:
        self.client = client

    def close(self) -> None:
        self.client.disconnect()


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["clickhouse"]

    def partly_read() -> None:
        client = _client(server)
        next(client.execute_iter("select number from system.numbers limit 100000"))
        client.execute("select 1")

    return [
        lambda: _client(server, password="wrong").execute("select 1"),
        lambda: _client(server, port=1).execute("select 1"),
        lambda: _client(server, port=server.port).execute("select 1"),  # TLS on a port that does not speak it
        lambda: _client(server, nothing=1),
        lambda: _client(server).execute("selec 1"),
        lambda: _client(server).execute(),
        lambda: _client(server).execute("select %(a)s", {}),
        lambda: _client(server, database="nowhere").execute("select 1 from t"),
        partly_read,
    ]
