"""F1: a single quote breaks the statement, which tells that there is a hole."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg2, told


class Probed(AbusedPsycopg2):
    """On psycopg2: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "finds a hole by a quote that breaks the statement"
    reference = "https://owasp.org/www-project-web-security-testing-guide/"
    notices = "an error"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        try:
            return self._search("customer 1'")
        except Exception as error:  # noqa: BLE001  a careless page shows whatever went wrong
            return str(error)

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, name, mail FROM customers WHERE name = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The error of the database has reached the visitor."""
        del service
        return isinstance(got, str) and "unrecognized token" in got
