"""C12 on aiohttp: a redirect to an internal address is followed."""

from backwatch.attack.techniques.http_redirect import FollowsRedirects


class RedirectAiohttp(FollowsRedirects):
    """aiohttp's client follows redirects to any address unless it is told not to."""

    driver = "aiohttp"

    def fetch(self) -> object:
        """In an event loop of its own."""
        import asyncio

        return asyncio.run(self._fetch())

    async def _fetch(self) -> object:
        import ssl

        import aiohttp

        context = ssl.create_default_context(cafile=self.config.ca_file)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client,
            client.get(self.url, ssl=context) as answer,
        ):
            return await answer.json()
