"""H4: what mysqldump sends, sent by an app."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.techniques.abused import AbusedConnector, told


class DumpTool(AbusedConnector):
    """On mysql-connector-python: a page for reports that was left behind, and runs whatever it is given."""

    code = "H4"
    attack = "copies a table the way that mysqldump does"
    reference = "https://attack.mitre.org/techniques/T1048/"
    rule = "dump-tool"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT /*!40001 SQL_NO_CACHE */ * FROM `accounts` WHERE id < 100")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Password hashes came back."""
        del service
        return LOOT in str(got)
