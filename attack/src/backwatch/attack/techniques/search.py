"""G12: an attacker abuses a search engine through an app that forwards queries. The engine stays honest."""

import json
from contextlib import closing
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import MOST_KEPT, HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

PRODUCT = b"X-Elastic-Product: Elasticsearch"


class SearchEngine(Web):
    """A node with goods. It records all requests, and refuses none."""

    def answer(self, request: Request) -> bytes:
        """Return the search result, or an acknowledgement."""
        if len(self.kept) < MOST_KEPT:
            self.kept.append(request.method + b" " + request.path + b" " + request.body)
        hits = {"total": {"value": 1, "relation": "eq"}, "hits": [{"_id": "7", "_source": {"name": "apples"}}]}
        body = {"took": 1, "timed_out": False, "hits": hits} if b"_search" in request.path else {"acknowledged": True}
        return answered(json.dumps(body).encode(), headers=(PRODUCT,))


class AbusedSearch(Scenario):
    """An app in which visitors search for goods, on elasticsearch."""

    code = "G12"
    driver = "elasticsearch"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return an honest service with an all-powerful account."""
        return SearchEngine(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        service.kept.clear()

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        from elasticsearch import Elasticsearch

        return Elasticsearch(
            f"https://localhost:{self.config.port}", ca_certs=self.config.ca_file, basic_auth=("shop", SECRET),
            request_timeout=5, max_retries=0,
        )  # fmt: skip

    def search(self, query: dict[str, Any]) -> int:
        """Return the number of goods that a page finds."""
        with closing(self.open_client()) as client:
            return client.search(index="goods", query=query)["hits"]["total"]["value"]

    def work(self) -> None:
        """Search for goods as a visitor."""
        self.search({"match": {"name": "apples"}})
