"""Apps on a database: lookups on a hostile server, and pages with holes."""

from typing import Any, ClassVar

from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import MySQLOfTables, PostgreSQLOfTables
from backwatch.attack.scenarios import Scenario

HONEST = {"mysql": HonestMySQL, "postgresql": HonestPostgreSQL}
TABLES = {"mysql": MySQLOfTables, "postgresql": PostgreSQLOfTables}


class Lookup(Scenario):
    """An app that runs its ordinary query on a new connection each time."""

    servers = HONEST

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


class OtherVersion(Lookup):
    """An app whose server announces another version, once hostile.

    Attributes:
        version: The other version, in the server's own form.
    """

    version: ClassVar[bytes | str]

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Change the version."""
        vars(service)["version"] = cls.version
        super().turn(service)


class DatabasePage(Scenario):
    """A page of an app, over a database of some tables. The attacker is a visitor."""

    servers = TABLES
    stays_honest = True


class ReportPage(DatabasePage):
    """A forgotten page for reports that executes any statement.

    Attributes:
        report: The usual report.
        statement: The attacker's statement.
    """

    report: ClassVar[str] = "SELECT name, mail FROM customers ORDER BY id LIMIT 10"
    statement: ClassVar[str]

    def work(self) -> object:
        """Make the usual report."""
        return self.client.execute(self.report)

    def meet(self) -> object:
        """Execute the attacker's statement."""
        return self.client.execute(self.statement)


class SearchPage(DatabasePage):
    """A page that writes a visitor's search text into the statement.

    Attributes:
        searches: The statement of each protocol, with a place for the search text.
        injected: The attacker's search text.
    """

    code = "F1"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    searches: ClassVar = {
        "mysql": "SELECT id, customer, total FROM orders WHERE customer = '{}' ORDER BY id",
        "postgresql": "SELECT id, name, mail FROM customers WHERE name = '{}' ORDER BY id",
    }
    injected: ClassVar[str]

    def work(self) -> object:
        """Search for ordinary names."""
        return [self.answer(name) for name in ("customer 1", "customer 2")]

    def meet(self) -> object:
        """Search for the attacker's text."""
        return self.answer(self.injected)

    def answer(self, name: str) -> Any:
        """Answer one request: the page is the same for every visitor."""
        return self.find(name)

    def find(self, name: str) -> Any:
        """Return the rows of a search."""
        return self.client.execute(self.searches[self.client.protocol].format(name))  # this is the injection hole


class BrokenSearchPage(SearchPage):
    """A careless page: it shows the error of the statement that a search text broke."""

    notices = "an error"

    def meet(self) -> object:
        """Return the error."""
        try:
            return super().meet()
        except Exception as error:  # noqa: BLE001  any error of the driver
            return str(error)
