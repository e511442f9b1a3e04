"""E2 on aiohttp: a small body is unpacked whole, whatever it comes to."""

from backwatch.attack.techniques.decompression import Unpacks


class BombAiohttp(Unpacks):
    """aiohttp unpacks bodies as long as they come."""

    driver = "aiohttp"

    def fetch(self) -> bytes:
        """As its first page shows it."""
        import asyncio

        return asyncio.run(self._fetch())

    async def _fetch(self) -> bytes:
        import ssl

        import aiohttp

        context = ssl.create_default_context(cafile=self.config.ca_file)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client,
            client.get(self.url, ssl=context) as answer,
        ):
            return await answer.read()
