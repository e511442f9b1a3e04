"""F10: connections are held by statements that only wait."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg2, told


class Sleeps(AbusedPsycopg2):
    """On psycopg2: a page for reports that was left behind, and runs whatever it is given."""

    code = "F10"
    attack = "holds connections with statements that sleep"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    rule = "heavy-query"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT pg_sleep(60)")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The database slept."""
        del service
        return got == [["0"]]
