"""G13 on aiohttp: the key stands in the URL."""

from backwatch.attack.techniques.http_secret import BringsSecret


class SecretAiohttp(BringsSecret):
    """By ``params``."""

    driver = "aiohttp"

    def fetch(self, headers: dict[str, str], query: dict[str, str]) -> object:
        """In an event loop of its own."""
        import asyncio

        return asyncio.run(self._fetch(headers, query))

    async def _fetch(self, headers: dict[str, str], query: dict[str, str]) -> object:
        import ssl

        import aiohttp

        context = ssl.create_default_context(cafile=self.config.ca_file)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client,
            client.get(self.url, params=query, headers=headers, ssl=context) as answer,
        ):
            return await answer.json()
