"""C5 on opensearchpy: sniffing accepts the attacker's host as a node."""

from typing import Any

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.topology import Sniffs


class OpensearchSniffed(Sniffs):
    """The client sniffs only if the app asks for it."""

    reference = "https://opensearch.org/docs/latest/clients/python-low-level/; ATT&CK T1557"
    driver = "opensearchpy"

    def meet(self) -> object:
        """Search for goods."""
        from contextlib import closing

        from opensearchpy import OpenSearch

        client: Any = OpenSearch(
            hosts=[{"host": "localhost", "port": self.config.port}], use_ssl=True, verify_certs=True,
            ca_certs=self.config.ca_file, http_auth=("shop", SECRET), sniff_on_start=True, timeout=5, max_retries=0,
        )  # fmt: skip
        with closing(client):
            return [client.search(index="goods", q="name:apples")["hits"]["total"]["value"] for _ in range(4)]
