"""A14: what holds the archive is of a version whose holes nobody mends."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import PyMySQL, ReadsOrders


class Forgotten(HonestMySQL):
    """Of a version that nobody mends any more, once it has turned."""

    def turn(self) -> None:
        """From now on."""
        self.version = b"5.6.51"
        super().turn()


class EndOfLife(PyMySQL, ReadsOrders):
    """On PyMySQL, which works with it as with any other."""

    code = "A14"
    attack = "answers for another database in a version that has had no mending for years"
    reference = "https://endoflife.date/mysql"
    rule = "end-of-life-server"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """In order yet."""
        return Forgotten(authority)

    def meet(self) -> object:
        """Looks into the archive, for the first time."""
        return self._read(database="archive")
