"""requests. It follows redirects to any address by default."""

from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients.http import HttpClient


class Requests(HttpClient):
    """Fetches with :func:`requests.get`."""

    driver = "requests"

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body."""
        import requests

        request_options: dict[str, Any] = {"verify": self.ca_file, **options}
        response = requests.get(url, params=query, headers=headers, timeout=timeout_s, **request_options)
        response.raise_for_status()
        return response.content
