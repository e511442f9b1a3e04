"""F4: LOAD_FILE reads a file of the database's machine."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import FILE
from backwatch.attack.techniques.abused import AbusedPyMySQL, told


class ReadsFile(AbusedPyMySQL):
    """On PyMySQL: a page for reports that was left behind, and runs whatever it is given."""

    code = "F4"
    attack = "reads a file of the database's machine"
    reference = "https://attack.mitre.org/techniques/T1005/"
    rule = "statement-touches-files"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT LOAD_FILE('/etc/passwd')")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The file's content came back."""
        del service
        return FILE in str(got)
