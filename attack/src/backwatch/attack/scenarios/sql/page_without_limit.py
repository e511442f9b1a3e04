"""H1: a page size without a bound, and a table leaves in one answer."""

from typing import Any

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import DatabasePage


class ListPage(DatabasePage):
    """A list whose page size the visitor chooses without a bound."""

    code = "H1"
    attack = "reads a whole table in one page, by an ordinary statement"
    reference = "https://attack.mitre.org/techniques/T1048/"
    rule = "bulk-read"
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"), Run(Psycopg2))

    def work(self) -> object:
        """Show pages of ten."""
        return [self.page(10) for _ in range(3)]

    def meet(self) -> object:
        """Show a page of everything."""
        return self.page(100_000)

    def page(self, size: int) -> Any:
        """Return a page of accounts."""
        return self.client.execute("SELECT id, name, password FROM accounts ORDER BY id LIMIT %s", (size,))

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the whole table came back."""
        del service
        return isinstance(got, list) and len(got) > 2_000
