"""G12 on opensearchpy: a visitor's search contains a script that the server runs."""

from contextlib import closing
from typing import Any

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.search import AbusedSearch

SCRIPT = "java.lang.Math.class.forName('java.lang.Runtime')"


class OpensearchScript(AbusedSearch):
    """An app that uses JSON from a visitor as a query."""

    attack = "has the server run a script that came in with a search"
    reference = "CVE-2015-1427; ATT&CK T1059"
    driver = "opensearchpy"
    rule = "search-script"

    def search(self, query: dict[str, Any]) -> int:
        """Return the number of goods that a page finds."""
        from opensearchpy import OpenSearch

        client: Any = OpenSearch(
            hosts=[{"host": "localhost", "port": self.config.port}], use_ssl=True, verify_certs=True,
            ca_certs=self.config.ca_file, http_auth=("shop", SECRET), timeout=5, max_retries=0,
        )  # fmt: skip
        with closing(client):
            return client.search(index="goods", body={"query": query})["hits"]["total"]["value"]

    def meet(self) -> object:
        """Search as the attacker."""
        return self.search({"script": {"script": {"source": SCRIPT, "lang": "painless"}}})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the script reached the server, and it responded."""
        return got == 1 and any(SCRIPT.encode() in request for request in service.kept)
