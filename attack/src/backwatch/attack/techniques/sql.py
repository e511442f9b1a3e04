"""Apps on a database: lookups on a hostile server, and pages with holes."""

from typing import Any, ClassVar

from backwatch.attack.scenarios import Scenario


class Lookup(Scenario):
    """An app that runs its ordinary query on a new connection each time."""

    def work(self) -> object:
        """Return the number of rows."""
        return self.client.look_up()


class FailingLookup(Lookup):
    """An app that tries again and again where the query fails.

    Attributes:
        tries: How often.
    """

    tries: ClassVar[int] = 12

    def meet(self) -> object:
        """Return how many tries failed."""
        failed = 0
        for _ in range(self.tries):
            try:
                self.work()
            except Exception:  # noqa: BLE001  any error of the driver
                failed += 1
        return failed


class ReportPage(Scenario):
    """A forgotten page for reports that executes any statement.

    Attributes:
        report: The usual report.
        statement: What the attacker sends.
    """

    stays_honest = True
    report: ClassVar[str] = "SELECT name, mail FROM customers ORDER BY id LIMIT 10"
    statement: ClassVar[str]

    def work(self) -> object:
        """Make the usual report."""
        return self.client.execute(self.report)

    def meet(self) -> object:
        """Execute the attacker's statement."""
        return self.client.execute(self.statement)


class SearchPage(Scenario):
    """A page that writes what its visitor searches for into the statement.

    Attributes:
        search: The statement, with a place for what the visitor types.
        typed: What the attacker types.
    """

    stays_honest = True
    search: ClassVar[str]
    typed: ClassVar[str]

    def work(self) -> object:
        """Search for ordinary names."""
        return [self.find(name) for name in ("customer 1", "customer 2")]

    def meet(self) -> object:
        """Search for what the attacker typed."""
        return self.find(self.typed)

    def find(self, name: str) -> Any:
        """Return the rows of a search."""
        return self.client.execute(self.search.format(name))  # this is the injection hole


class ListPage(Scenario):
    """A list whose page size the visitor chooses without a bound."""

    code = "H1"
    attack = "reads a whole table in one page, by an ordinary statement"
    reference = "https://attack.mitre.org/techniques/T1048/"
    rule = "bulk-read"
    stays_honest = True

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
    def succeeded(cls, service: object, got: object) -> bool:
        """Return whether the whole table came back."""
        del service
        return isinstance(got, list) and len(got) > 2_000
