"""E1: a result that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.techniques.sql import Lookup

DELAY_S = 4.0


class SlowResult(Lookup):
    """The driver's own limits are never reached."""

    code = "E1"
    attack = "answers, but so late that the app is busy with waiting"
    reference = "https://attack.mitre.org/techniques/T1499/004/"
    notices = "that it is slow"
    rule = "slow-response"

    def meet(self) -> object:
        """Return the seconds that the lookup took."""
        begin = time.monotonic()
        self.work()
        return time.monotonic() - begin

    @classmethod
    def succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app has waited."""
        del service
        return isinstance(got, float) and got >= DELAY_S
