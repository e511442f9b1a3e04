"""The app that every host serves: one query per request, named by the path, and one when it is imported."""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import psycopg
import pymysql
import redis

MYSQL: dict[str, Any] = {
    "host": "127.0.0.1", "port": int(os.environ["SHOP_MYSQL_PORT"]), "user": os.environ["SHOP_MYSQL_USER"],
    "password": os.environ["SHOP_MYSQL_PASSWORD"],
}  # fmt: skip


def ask(name: str) -> str:
    """One query that bears this name, which no redaction takes away; and one command of Redis."""
    connection = pymysql.connect(**MYSQL)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 AS {name}, SLEEP(0.01) AS nap")
            cursor.fetchall()
    finally:
        connection.close()
    ask_cache(name)
    return str(os.getpid())


def ask_cache(name: str) -> None:
    """The command alone, over a connection of its own, unencrypted."""
    cache = redis.Redis.from_url(os.environ["SHOP_REDIS_URL"])
    cache.get(f"{name}:1")
    cache.close()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """WSGI."""
    body = ask(environ["PATH_INFO"].strip("/")).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Awaitable[Any]]
) -> None:
    """ASGI."""
    if scope["type"] != "http":
        return
    name = scope["path"].strip("/")
    async with await psycopg.AsyncConnection.connect(os.environ["SHOP_POSTGRESQL_URL"], autocommit=True) as connection:
        await connection.execute(f"SELECT 1 AS {name}, pg_sleep(0.01) AS nap".encode())
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


if os.environ.get("SHOP_AT_IMPORT"):
    ask(os.environ["SHOP_AT_IMPORT"])
