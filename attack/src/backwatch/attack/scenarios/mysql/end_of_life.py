"""A14: the archive's server is of a version that gets no more fixes."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class Outdated(HonestMySQL):
    """Announces an unsupported version, once hostile."""

    def turn(self) -> None:
        """Change the version."""
        self.version = b"5.6.51"
        super().turn()


class EndOfLife(Lookup):
    """The driver works with it as with any other."""

    code = "A14"
    attack = "answers for another database in a version that has had no mending for years"
    reference = "https://endoflife.date/mysql"
    rule = "end-of-life-server"
    server = Outdated
    runs = (Run(PyMySQL),)

    def meet(self) -> object:
        """Look into the archive for the first time."""
        return self.client.look_up(database="archive")
