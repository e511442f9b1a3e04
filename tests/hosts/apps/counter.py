"""An app without services: each request is one call of SQLite's, made by the worker that answers with its id."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any


def ask() -> bytes:
    """One call."""
    sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
    return str(os.getpid()).encode()


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """WSGI."""
    body = ask()
    time.sleep(0.02)  # meanwhile the other workers take the other requests
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any], _receive: Callable[[], Awaitable[Any]], send: Callable[..., Awaitable[Any]]
) -> None:
    """ASGI."""
    if scope["type"] != "http":
        return
    body = ask()
    await asyncio.sleep(0.02)
    headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


ask()  # before a preloading host forks
