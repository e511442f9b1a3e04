"""G12: a visitor's search contains a script that the server runs."""

from backwatch.attack.clients.search import Elasticsearch, OpenSearch
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.search import AbusedSearch

SCRIPT = "java.lang.Math.class.forName('java.lang.Runtime')"


class ElasticsearchScript(AbusedSearch):
    """An app that uses JSON from a visitor as a query."""

    attack = "has the server run a script that came in with a search"
    reference = "CVE-2015-1427; ATT&CK T1059"
    rule = "search-script"
    captures = SCRIPT.encode()
    runs = (Run(Elasticsearch), Run(OpenSearch))

    def meet(self) -> object:
        """Search as the attacker."""
        return self.client.search({"script": {"script": {"source": SCRIPT, "lang": "painless"}}})
