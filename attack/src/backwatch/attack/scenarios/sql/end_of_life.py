"""A14: the archive's server is of a version that gets no more fixes."""

from typing import Any, ClassVar

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import OtherVersion


class EndOfLife(OtherVersion):
    """The driver works with it as with any other."""

    code = "A14"
    attack = "answers for another database in a version that has had no fixes for years"
    rule = "end-of-life-server"
    archive: ClassVar[dict[str, Any]]
    runs = (
        Run(PyMySQL, version=b"5.6.51", archive={"database": "archive"}, reference="https://endoflife.date/mysql"),
        Run(Psycopg, version="9.6.24", archive={"dbname": "archive"}, reference="https://endoflife.date/postgresql"),
    )

    def meet(self) -> object:
        """Look into the archive for the first time."""
        return self.client.look_up(**self.archive)
