"""Typical calls of an app that uses httpx, blocking and asynchronous; the fork httpx2 has the same ones."""

import asyncio
import ssl
from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpx

from tests.collector.probes.http.web import Web, shared

SERVICES = ("ca",)


def _use_blocking(library: Any, web: Web, seen: list[object]) -> None:
    context = ssl.create_default_context(cafile=web.ca_file)
    with library.Client(verify=context, trust_env=False) as client:
        for url in (web.url, web.tls_url, web.closing_url, web.closing_tls_url):
            seen.append(len(client.get(f"{url}/plain?q=1&api_key=hunter2").content))
            seen.append(client.post(f"{url}/orders/17", content=b"z" * 1000, auth=("app", "secret")).text)
            seen.append(client.head(f"{url}/plain").status_code)
            seen.append(len(client.get(f"{url}/gzip").content))
        around = client.get(f"{web.tls_url}/around", follow_redirects=True)
        seen += [around.status_code, [one.status_code for one in around.history]]
        seen.append(client.get(f"{web.tls_url}/redirect", follow_redirects=False).headers["Location"])
        seen.append(client.get(f"{web.tls_url}/missing").status_code)
        with client.stream("GET", f"{web.tls_url}/plain") as response:
            seen.append(next(response.iter_bytes(10)))
    with library.Client(transport=library.HTTPTransport(uds=web.path)) as client:
        seen.append(len(client.get("http://localhost/plain").content))


async def _asynchronous(library: Any, web: Web, seen: list[object]) -> None:
    context = ssl.create_default_context(cafile=web.ca_file)
    async with library.AsyncClient(verify=context, trust_env=False) as client:
        for url in (web.url, web.tls_url):
            seen.append(len((await client.get(f"{url}/plain")).content))
            seen.append(len((await client.get(f"{url}/gzip")).content))
        async with client.stream("GET", f"{web.tls_url}/chunked") as response:
            seen.append(sum([len(part) async for part in response.aiter_bytes()]))
        many = [client.get(f"{web.tls_url}/plain") for _ in range(4)]
        seen += [len(one.content) for one in await asyncio.gather(*many)]


def both(library: ModuleType, services: dict[str, Any]) -> list[object]:
    web = shared(services["ca"])
    seen: list[object] = []
    _use_blocking(library, web, seen)
    asyncio.run(_asynchronous(library, web, seen))
    return seen


def broken(library: Any, services: dict[str, Any]) -> list[Callable[[], object]]:
    web = shared(services["ca"])

    def get(url: str) -> Callable[[], object]:
        return lambda: library.Client(trust_env=False).get(url)

    async def waits(url: str) -> object:
        async with library.AsyncClient(trust_env=False) as client:
            return await client.get(url)

    urls = [f"{web.url}/broken", f"{web.url}/silent", "http://127.0.0.1:1/"]
    return [
        *map(get, urls),
        *((lambda url=url: asyncio.run(waits(url))) for url in urls),
        lambda: library.Client(trust_env=False, verify=ssl.create_default_context()).get(f"{web.tls_url}/plain"),
        lambda: library.Client(trust_env=False, proxy="http://127.0.0.1:1").get("https://api.example.com/"),
        get("ftp://127.0.0.1/"),
        get("http://ann:secret@127.0.0.1:port/"),
    ]


def calls(services: dict[str, Any]) -> list[object]:
    return both(httpx, services)


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    return broken(httpx, services)
