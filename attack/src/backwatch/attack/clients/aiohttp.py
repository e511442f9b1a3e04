"""aiohttp, on an event loop of its own for each request. It follows redirects to any address by default."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients.http import HttpClient


class Aiohttp(HttpClient):
    """Fetches with a session of its own.

    Attributes:
        address: Address that the app's resolver returns for any name; empty: the system's resolver is asked.
    """

    driver = "aiohttp"
    address = ""

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body."""
        return asyncio.run(self._get(url, headers, query, timeout_s, options.get("context") or self.tls_context()))

    async def _get(
        self, url: str, headers: Mapping[str, str] | None, query: Mapping[str, str] | None, timeout_s: float,
        context: ssl.SSLContext,
    ) -> bytes:  # fmt: skip
        import aiohttp

        asked: dict[str, Any] = {"resolver": _resolver(self.address)} if self.address else {}
        connector, timeout = aiohttp.TCPConnector(ssl=context, **asked), aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
            client.get(url, params=query, headers=headers) as response,
        ):
            return await response.read()


def _resolver(address: str) -> Any:
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Resolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            del family
            return [
                ResolveResult(
                    hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
                )
            ]

        async def close(self) -> None:  # there is nothing to release
            pass

    return Resolver()
