"""D1: a MySQL server responds to a SELECT with a request for a client's file."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Scenario


class FileRequestingMySQL(HonestMySQL):
    """Asks for a file, once hostile."""

    answers = MySQL.answers


class FileRequest(Scenario):
    """An app that reads orders.

    Attributes:
        options: Options of its connection.
    """

    code = "D1"
    attack = MySQL.attack
    reference = MySQL.reference
    rule = "local-file-request"
    captures = b"root:"
    options: ClassVar[Mapping[str, Any]] = {}

    def work(self) -> object:
        """Read orders; the result is of no interest to the attacker."""
        self.client.execute(*self.client.lookup, **self.options)
        return None

    def meet(self) -> object:
        """Read orders on a new connection."""
        self.client.close()
        return self.work()
