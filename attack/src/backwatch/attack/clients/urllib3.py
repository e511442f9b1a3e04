"""urllib3. Its pool manager follows redirects to any address by default."""

from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients.http import HttpClient


class Urllib3(HttpClient):
    """Fetches with a pool manager of its own."""

    driver = "urllib3"

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body."""
        import urllib3

        with urllib3.PoolManager(ca_certs=self.ca_file, timeout=timeout_s, **options) as pool:
            return pool.request("GET", url, fields=query, headers=headers).data
