"""F8: a table is emptied, and the ransom note comes later."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, told


class Destroyed(AbusedConnector):
    """On mysql-connector-python: a page for reports that was left behind, and runs whatever it is given."""

    code = "F8"
    attack = "deletes every order of the shop"
    reference = "https://attack.mitre.org/techniques/T1485/"
    rule = "data-destroyed"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name FROM customers ORDER BY id LIMIT 10")
        self._count()

    def meet(self) -> object:
        """Makes the attacker's: how many orders there are afterwards."""
        self._report("DELETE FROM orders")
        return self._count()

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    def _count(self) -> int:
        with self.connected().cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orders")
            return int(told(cursor)[0][0])

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """None is left."""
        del service
        return got == 0
