"""D11: an unused account lies among the others. An attacker who reads account after account reads it too."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import ACCOUNTS, LOOT
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import DatabasePage

PLANTED = ACCOUNTS - 1
"""Number of the canary account."""
CANARY = f"{LOOT}.{PLANTED}"
"""Password hash of the canary account, which the operator has declared to Backwatch."""
STATEMENT = "SELECT id, name, password FROM accounts WHERE id = {:d}"


class AccountsByNumber(DatabasePage):
    """An app that logs visitors in by number. The numbers count up, and nothing slows a visitor down."""

    code = "D11"
    attack = "has an app read one account after the other, by a statement and in numbers that are quite usual"
    reference = "https://attack.mitre.org/techniques/T1030/; Acra's poison records"
    rule = "canary-returned"
    settings: ClassVar[Mapping[str, str]] = {"BACKWATCH_CANARIES": CANARY}
    shows = CANARY
    runs = (Run(PyMySQL), Run(Psycopg))

    def work(self) -> object:
        """Log a visitor in."""
        return self.account(7)

    def meet(self) -> object:
        """Read account after account."""
        return [self.account(number) for number in range(PLANTED - 3, PLANTED + 1)]

    def account(self, number: int) -> Any:
        """Return the rows of an account."""
        return self.client.execute(STATEMENT.format(number))
