"""G12: a visitor's search contains a script that the server runs."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.search import AbusedSearch

SCRIPT = "java.lang.Math.class.forName('java.lang.Runtime')"


class ElasticsearchScript(AbusedSearch):
    """An app that uses JSON from a visitor as a query."""

    attack = "has the server run a script that came in with a search"
    reference = "CVE-2015-1427; ATT&CK T1059"
    rule = "search-script"

    def meet(self) -> object:
        """Search as the attacker."""
        return self.search({"script": {"script": {"source": SCRIPT, "lang": "painless"}}})

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the script reached the server, and it responded."""
        return got == 1 and any(SCRIPT.encode() in request for request in service.kept)
