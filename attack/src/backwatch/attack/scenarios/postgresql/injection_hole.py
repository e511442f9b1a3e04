"""F1: a name with a quote breaks the statement. Its owner means no harm; the next visitor may."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class Holed(SearchPage):
    """The search text ends the literal, and the rest of the name is no SQL."""

    attack = "looks for a customer whose name has a quote, which breaks the statement"
    reference = "https://cwe.mitre.org/data/definitions/89.html"
    notices = "an error"
    rule = "injectable-call-site"
    shows = "syntax error"
    injected = "customer O'Brien"
    runs = (Run(Psycopg2),)

    def meet(self) -> object:
        """Return the error, which a careless page shows."""
        try:
            return self.answer(self.injected)
        except Exception as error:  # noqa: BLE001  any error of the driver
            return str(error)
