"""F1: a single quote breaks the statement, which shows that there is an injection hole."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class Probed(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "finds a hole by a quote that breaks the statement"
    reference = "https://owasp.org/www-project-web-security-testing-guide/"
    notices = "an error"
    rule = "query-attack"
    server = PostgreSQLOfTables
    shows = "unrecognized token"
    search = "SELECT id, name, mail FROM customers WHERE name = '{}' ORDER BY id"
    typed = "customer 1'"
    runs = (Run(Psycopg2),)

    def meet(self) -> object:
        """Return the error, which a careless page shows."""
        try:
            return self.find(self.typed)
        except Exception as error:  # noqa: BLE001  any error of the driver
            return str(error)
