"""Typical calls of an app that uses clickhouse-connect, sync and async, over verified TLS."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.httpclient import HttpClient

from tests.services.databases.clickhouse_http import MOVED

SERVICES = ("clickhouse_http",)


def _options(server: Any, **changes: Any) -> dict[str, Any]:
    return {
        "host": "localhost", "port": server.tls_port, "username": server.user, "password": server.password,
        "secure": True, "ca_cert": server.ca_file, "database": "default", "compress": "gzip", **changes,
    }  # fmt: skip


def _client(server: Any, **changes: Any) -> Any:
    return clickhouse_connect.get_client(**_options(server, **changes))


def calls(services: dict[str, Any]) -> list[object]:
    server, seen = services["clickhouse_http"], []
    with contextlib.closing(_client(server)) as client:
        client.command("drop table if exists exercise_http")
        client.command("create table exercise_http (a Int32, b String) engine = Memory")
        seen.append(client.insert("exercise_http", [[1, "x"], [2, "y"]], column_names=["a", "b"]).written_rows)
        found = client.query("select a, b from exercise_http where a > %(a)s order by a", parameters={"a": 0})
        seen.append(list(found.result_rows))
        seen.append(client.raw_query("select a from exercise_http order by a", fmt="TSV"))
        with client.query_row_block_stream("select number from system.numbers limit 2500") as blocks:
            seen.append(sum(len(block) for block in blocks))
        client.command("drop table exercise_http")
        seen.append(client.ping())
        try:
            client.query("select * from nothing")
        except DatabaseError as error:
            seen.append(type(error).__name__)
    seen.append(_move_records(server))
    seen.append(asyncio.run(_delete_async(server)))
    return seen


def _move_records(server: Any) -> object:
    with contextlib.closing(_client(server)) as client:
        transport = getattr(client, "_backend", client)
        transport.url += MOVED
        if hasattr(transport, "_base_url"):
            transport._base_url = transport.url
        return client.raw_query("select 7")


async def _delete_async(server: Any) -> list[object]:
    client = await clickhouse_connect.get_async_client(**_options(server))
    try:
        return list((await client.query("select number from system.numbers limit 3")).result_rows)
    finally:
        closed: Any = client.close()
        if closed is not None:
            await closed


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["clickhouse_http"]
    numbered = "autogenerate_query_id" in inspect.signature(HttpClient.__init__).parameters
    settings = {"autogenerate_query_id": False} if numbered else {}  # its number would stand in the error

    def asking(sql: str, **options: Any) -> Callable[[], object]:
        def failing() -> object:
            with contextlib.closing(_client(server, **settings)) as client:
                return client.query(sql, **options).result_rows

        return failing

    return [
        lambda: _client(server, password="wrong", **settings),
        lambda: _client(server, ca_cert=None, **settings),
        lambda: _client(server, nothing=1),
        asking("selec 1"),
        asking("select %(a)s", parameters={}),
        asking("select * from nothing"),
        asking("select number from system.numbers limit 3", settings={"nothing": 1}),
    ]
