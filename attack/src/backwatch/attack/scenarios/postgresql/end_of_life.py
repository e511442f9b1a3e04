"""A14: the archive's server is of a version that gets no more fixes."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class Outdated(HonestPostgreSQL):
    """Announces an unsupported version, once hostile."""

    def turn(self) -> None:
        """Change the version."""
        self.version = "9.6.24"
        super().turn()


class EndOfLife(Lookup):
    """The driver works with it as with any other."""

    code = "A14"
    attack = "answers for another database in a version that has had no mending for years"
    reference = "https://endoflife.date/postgresql"
    rule = "end-of-life-server"
    server = Outdated
    runs = (Run(Psycopg),)

    def meet(self) -> object:
        """Look into the archive for the first time."""
        return self.client.look_up(dbname="archive")
