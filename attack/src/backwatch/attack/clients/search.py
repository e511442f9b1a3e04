"""The clients of Elasticsearch and of OpenSearch."""

from contextlib import closing
from typing import Any

from backwatch.attack.clients import TIMEOUT_S, Client
from backwatch.attack.protocols.server import SECRET


class Elasticsearch(Client):
    """Elasticsearch's client. It asks the cluster for its nodes only with ``sniff_on_start=True``."""

    driver = "elasticsearch"
    protocol = "elasticsearch"

    def open(self, **options: Any) -> Any:
        """Return a client with these further options."""
        from elasticsearch import Elasticsearch as Driver

        return Driver(
            f"https://localhost:{self.port}", ca_certs=self.ca_file, basic_auth=("shop", SECRET),
            request_timeout=TIMEOUT_S, max_retries=0, **options,
        )  # fmt: skip

    def search(self, query: dict[str, Any]) -> int:
        """Return the number of goods that a query finds."""
        with closing(self.open()) as client:
            return client.search(index="goods", **self.query_argument(query))["hits"]["total"]["value"]

    def query_argument(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return a query as an argument of the driver's method."""
        return {"query": query}


class OpenSearch(Elasticsearch):
    """OpenSearch's client."""

    driver = "opensearchpy"
    protocol = "opensearch"

    def open(self, **options: Any) -> Any:
        """Return a client with these further options."""
        from opensearchpy import OpenSearch as Driver

        return Driver(
            hosts=[{"host": "localhost", "port": self.port}], use_ssl=True, verify_certs=True, ca_certs=self.ca_file,
            http_auth=("shop", SECRET), timeout=TIMEOUT_S, max_retries=0, **options,
        )  # fmt: skip

    def query_argument(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return a query as an argument of the driver's method."""
        return {"body": {"query": query}}
