"""Common parts of the HTTP clients."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients import Client


class HttpClient(Client):
    """Fetches from an API, by default over verified TLS and on a connection of its own."""

    def url(self, path: str = "/rates", *, scheme: str = "https", host: str = "localhost") -> str:
        """Return a URL of the API."""
        return f"{scheme}://{host}:{self.port}{path}"

    @abstractmethod
    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        timeout_s: float = 5, **options: Any,
    ) -> bytes:  # fmt: skip
        """Return a response's body. Options are the driver's own."""

    def visit(self, host: str = "localhost", *, tls: bool = True, **options: Any) -> Any:
        """Fetch the rates. Options are those of :meth:`get`."""
        return self.get_json(self.url(scheme="https" if tls else "http", host=host), **options)

    def get_json(self, url: str, **options: Any) -> Any:
        """Return a response's JSON document."""
        return json.loads(self.get(url, **options))
