"""httpx. It follows redirects only with ``follow_redirects=True``."""

from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients.http import HttpClient


class Httpx(HttpClient):
    """Fetches with a client of its own."""

    driver = "httpx"

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body."""
        import httpx

        with httpx.Client(verify=self.tls_context(), timeout=timeout_s, **options) as client:
            return client.get(url, params=query, headers=headers).content

    def proxy_options(self) -> dict[str, Any]:
        """Return the option that sends plaintext requests through a proxy. The API's server plays the proxy."""
        import httpx

        proxy = httpx.Proxy(self.url(""), ssl_context=self.tls_context())
        return {"mounts": {"http://": httpx.HTTPTransport(proxy=proxy)}}
