"""F1: a single quote breaks the statement, which shows that there is an injection hole."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class Probed(SearchPage):
    """The search text ends the literal and goes on as a statement."""

    attack = "finds a hole by a quote that breaks the statement"
    reference = "https://owasp.org/www-project-web-security-testing-guide/"
    notices = "an error"
    shows = "unrecognized token"
    injected = "customer 1'"
    runs = (Run(Psycopg2),)

    def meet(self) -> object:
        """Return the error, which a careless page shows."""
        try:
            return self.answer(self.injected)
        except Exception as error:  # noqa: BLE001  any error of the driver
            return str(error)
