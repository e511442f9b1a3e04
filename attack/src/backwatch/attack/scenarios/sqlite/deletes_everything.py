"""F8: a table is emptied, and the ransom note comes later."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.sqlite import DatabaseFile, SQLiteApp


class DeletesEverything(SQLiteApp):
    """A page for reports that was left behind, and runs whatever it is given."""

    code = "F8"
    attack = "deletes every customer"
    reference = "https://attack.mitre.org/techniques/T1485/"
    rule = "data-destroyed"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("DELETE FROM customers")

    def _report(self, statement: str) -> list[list[str]]:
        return [[str(value) for value in one] for one in self.connection.execute(statement)]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """None is left in the file."""
        del got
        return isinstance(service, DatabaseFile) and service.left() == 0
