"""C5 on elasticsearch: sniffing accepts the attacker's host as a node."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.topology import Sniffs


class ElasticsearchSniffed(Sniffs):
    """The client sniffs only if the app asks for it."""

    reference = "https://www.elastic.co/guide/en/elasticsearch/client/python-api/current/config.html; ATT&CK T1557"
    driver = "elasticsearch"

    def meet(self) -> object:
        """Search for goods."""
        from contextlib import closing

        from elasticsearch import Elasticsearch

        with closing(
            Elasticsearch(
                f"https://localhost:{self.config.port}", ca_certs=self.config.ca_file, basic_auth=("shop", SECRET),
                sniff_on_start=True, request_timeout=5, max_retries=0,
            )
        ) as client:  # fmt: skip
            return [client.search(index="goods", q="name:apples")["hits"]["total"]["value"] for _ in range(4)]
