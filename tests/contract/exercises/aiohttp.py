"""Typical calls of an app that uses aiohttp as a client."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.collector.probes.http.web import Web, shared

SERVICES = ("ca",)
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"app:secret").decode()}


async def _app(web: Web, seen: list[object]) -> None:
    context = ssl.create_default_context(cafile=web.ca_file)
    async with aiohttp.ClientSession() as session:
        for url in (web.url, web.tls_url, web.closing_url, web.closing_tls_url):
            async with session.get(f"{url}/plain?q=1&api_key=hunter2", ssl=context) as response:
                seen.append(len(await response.read()))
            async with session.post(f"{url}/orders/17", data=b"z" * 1000, headers=LOGIN, ssl=context) as response:
                seen.append(await response.text())
            async with session.get(f"{url}/gzip", ssl=context) as response:
                seen.append(len(await response.read()))
        async with session.get(f"{web.tls_url}/around", ssl=context) as response:
            seen += [response.status, [one.status for one in response.history]]
        async with session.get(f"{web.tls_url}/redirect", ssl=context, allow_redirects=False) as response:
            seen.append(response.headers["Location"])
        async with session.get(f"{web.tls_url}/missing", ssl=context) as response:
            seen.append(response.status)
        async with session.get(f"{web.tls_url}/chunked", ssl=context) as response:
            seen.append(sum([len(part) async for part in response.content.iter_chunked(1000)]))
        async with session.get(f"{web.tls_url}/plain", ssl=context) as response:
            seen.append(await response.content.readexactly(10))
    local = aiohttp.UnixConnector(web.path)
    async with aiohttp.ClientSession(connector=local) as session, session.get("http://localhost/plain") as response:
        seen.append(len(await response.read()))


def calls(services: dict[str, Any]) -> list[object]:
    seen: list[object] = []
    asyncio.run(_app(shared(services["ca"]), seen))
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    web = shared(services["ca"])

    def running(url: str, **options: Any) -> Callable[[], object]:
        async def get() -> object:
            async with aiohttp.ClientSession() as session, session.get(url, **options) as response:
                return await response.read()

        return lambda: asyncio.run(get())

    async def socket() -> object:
        async with aiohttp.ClientSession() as session:
            return await session.ws_connect(f"{web.url}/plain")

    async def path() -> object:
        connector = aiohttp.UnixConnector("/nowhere/at/all")
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://localhost/") as response:
            return response.status

    def run(made: Callable[[], Awaitable[object]]) -> Callable[[], object]:
        async def app() -> object:
            return await made()

        return lambda: asyncio.run(app())

    return [
        running(f"{web.url}/broken"),
        running(f"{web.url}/silent"),
        running("http://127.0.0.1:1/"),
        running(f"{web.tls_url}/plain"),
        running(f"{web.tls_url}/plain", ssl=aiohttp.Fingerprint(b"x" * 32)),
        running("https://api.example.com/", proxy="http://127.0.0.1:1"),
        running("ftp://127.0.0.1/"),
        run(socket),
        run(path),
    ]
