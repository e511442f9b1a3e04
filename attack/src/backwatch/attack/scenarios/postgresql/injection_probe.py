"""F1: a single quote breaks the statement, which shows that there is an injection hole."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import BrokenSearchPage


class Probed(BrokenSearchPage):
    """The search text ends the literal and goes on as a statement."""

    attack = "finds a hole by a quote that breaks the statement"
    reference = "https://owasp.org/www-project-web-security-testing-guide/"
    shows = "unrecognized token"
    injected = "customer 1'"
    runs = (Run(Psycopg2),)
