"""G12: an attacker abuses a search engine through an app that forwards queries. The engine stays honest."""

import json

from backwatch.attack.clients.search import Elasticsearch
from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.scenarios import Run, Scenario

PRODUCT = b"X-Elastic-Product: Elasticsearch"


class SearchEngine(Web):
    """A node with goods. It records all requests, and refuses none."""

    def answer(self, request: Request) -> bytes:
        """Return the search result, or an acknowledgement."""
        self.keep(request.method + b" " + request.path + b" " + request.body)
        if b"_search" in request.path:
            return search_result()
        return format_response(b'{"acknowledged": true}', headers=(PRODUCT,))


class AbusedSearch(Scenario):
    """An app in which visitors search for goods. Its account may do everything."""

    code = "G12"
    server = SearchEngine
    stays_honest = True
    runs = (Run(Elasticsearch),)

    def work(self) -> object:
        """Search for goods as a visitor."""
        return self.client.search({"match": {"name": "apples"}})


def search_result() -> bytes:
    """Return the response to a search."""
    hits = {"total": {"value": 1, "relation": "eq"}, "hits": [{"_id": "7", "_source": {"name": "apples"}}]}
    return format_response(json.dumps({"took": 1, "timed_out": False, "hits": hits}).encode(), headers=(PRODUCT,))
