"""D11: an account that nobody has lies among the others; whoever reads one after the other reads it too."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import ACCOUNTS, LOOT
from backwatch.attack.scenarios import Scenario
from backwatch.attack.techniques.abused import told

PLANTED = ACCOUNTS - 1
"""The account's number."""
CANARY = f"{LOOT}.{PLANTED}"
"""Its password's hash, which the app's owner has told Backwatch."""
STATEMENT = "SELECT id, name, password FROM accounts WHERE id = {:d}"


class ReadsOneAfterTheOther(Scenario):
    """An app that logs people in by number, on whichever driver: the numbers count up, and nothing slows a visitor."""

    code = "D11"
    attack = "has an app read one account after the other, by a statement and in numbers that are quite usual"
    reference = "https://attack.mitre.org/techniques/T1030/; Acra's poison records"
    rule = "canary-returned"
    settings: ClassVar[Mapping[str, str]] = {"BACKWATCH_CANARIES": CANARY}

    @abstractmethod
    def connected(self) -> Any:
        """The driver's connection."""

    def work(self) -> None:
        """Somebody logs in."""
        self._account(7)

    def meet(self) -> object:
        """A visitor counts up."""
        return [self._account(number) for number in range(PLANTED - 3, PLANTED + 1)]

    def _account(self, number: int) -> list[list[str]]:
        with self.connected().cursor() as cursor:
            cursor.execute(STATEMENT.format(number))
            return told(cursor)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The hashes are theirs."""
        del service
        return CANARY in str(got)
