"""F4: files of the database's clients come within reach by a setting."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPyMySQL, obeyed, told


class Reconfigured(AbusedPyMySQL):
    """On PyMySQL: a page for reports that was left behind, and runs whatever it is given."""

    code = "F4"
    attack = "switches on that files are loaded from clients"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/load-data-local-security.html; ATT&CK T1562.001"
    rule = "server-reconfigured"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SET GLOBAL local_infile = ON")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"local_infile")
