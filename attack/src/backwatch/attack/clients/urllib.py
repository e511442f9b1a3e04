"""urllib.request, which comes with Python. It follows redirects to any address and opens ``file:`` URLs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from backwatch.attack.clients.http import HttpClient


class Urllib(HttpClient):
    """Fetches with :func:`urllib.request.urlopen`."""

    driver = "urllib"

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body."""
        request = Request(f"{url}?{urlencode(query)}" if query else url, headers=dict(headers or {}))  # noqa: S310
        context = options.get("context") or self.tls_context()
        with urlopen(request, timeout=timeout_s, context=context) as response:  # noqa: S310  the URL is the pack's own
            return response.read()
