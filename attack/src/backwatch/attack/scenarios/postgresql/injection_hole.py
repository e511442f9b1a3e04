"""F1: a name with a quote breaks the statement. Its owner means no harm; the next visitor may."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import BrokenSearchPage


class Holed(BrokenSearchPage):
    """The search text ends the literal, and the rest of the name is no SQL."""

    attack = "looks for a customer whose name has a quote, which breaks the statement"
    reference = "https://cwe.mitre.org/data/definitions/89.html"
    rule = "injectable-call-site"
    shows = "syntax error"
    injected = "customer O'Brien"
    runs = (Run(Psycopg2),)
