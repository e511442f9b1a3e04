"""H1: a page size without a bound, and a table leaves in one answer."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.abused import AbusedConnector, told


class NoLimit(AbusedConnector):
    """On mysql-connector-python: a list whose page size the visitor chooses, and nobody bounds."""

    code = "H1"
    attack = "reads a whole table in one page, by an ordinary statement"
    reference = "https://attack.mitre.org/techniques/T1048/"
    rule = "bulk-read"

    def work(self) -> None:
        """Shows pages of ten."""
        for _ in range(3):
            self._page(10)

    def meet(self) -> object:
        """Shows a page of everything."""
        return self._page(100_000)

    def _page(self, size: int) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute("SELECT id, name, password FROM accounts ORDER BY id LIMIT %s", (size,))
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """All of it came back."""
        del service
        return isinstance(got, list) and len(got) > 2_000
