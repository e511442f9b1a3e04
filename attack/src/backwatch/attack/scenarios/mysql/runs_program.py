"""F3: a function from a library runs a command on the database's machine."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPyMySQL, told


class RunsProgram(AbusedPyMySQL):
    """On PyMySQL: a page for reports that was left behind, and runs whatever it is given."""

    code = "F3"
    attack = "runs a command on the database's machine by sys_exec"
    reference = "https://attack.mitre.org/techniques/T1505/001/"
    rule = "statement-runs-program"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT sys_exec('id > /tmp/out')")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The function answered that it went well."""
        del service
        return got == [["0"]]
