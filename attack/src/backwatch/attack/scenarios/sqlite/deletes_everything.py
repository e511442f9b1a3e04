"""F8: a table is emptied, and the ransom note comes later."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.sqlite import DatabaseFile, SQLiteApp


class DeletesEverything(SQLiteApp):
    """A forgotten page for reports executes any statement."""

    code = "F8"
    attack = "deletes every customer"
    reference = "https://attack.mitre.org/techniques/T1485/"
    rule = "data-destroyed"

    def work(self) -> None:
        """Make the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Make the attacker's report."""
        return self._report("DELETE FROM customers")

    def _report(self, statement: str) -> list[list[str]]:
        return [[str(value) for value in row] for row in self.connection.execute(statement)]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the table in the file is empty."""
        del got
        return isinstance(service, DatabaseFile) and service.left() == 0
