"""H2 on SQL databases: page after page of a listing is read, each an ordinary one."""

from typing import ClassVar

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage

PAGES = 400


class Walked(ReportPage):
    """The app's listing takes no notice of who asks, nor how often."""

    code = "H2"
    attack = "copies a table by its listing, page by page, as quickly as the app answers"
    reference = "https://attack.mitre.org/techniques/T1030/"
    notices = "nothing"
    rule = "slow-leak"
    report: ClassVar[str] = "SELECT id, customer, total FROM orders ORDER BY id LIMIT 40"
    runs = (Run(Psycopg2), Run(PyMySQL))

    def work(self) -> object:
        """Show the listing."""
        return self.answer()

    def meet(self) -> object:
        """Return how many rows were copied."""
        return sum(self.answer() for _ in range(PAGES))

    def answer(self) -> int:
        """Answer one request with a page."""
        return self.list_orders()

    def list_orders(self) -> int:
        """Return the number of orders on the page."""
        return len(self.client.execute(self.report))

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether thousands of rows were copied."""
        del service
        return isinstance(got, int) and got > 8_000
