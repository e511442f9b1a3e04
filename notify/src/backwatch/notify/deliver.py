"""One endpoint's courier: leases what is due, has it sent, and marks what came of it.

Each endpoint has a courier and a thread of its own, so a receiver that is dead, slow or hostile delays nobody else.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from backwatch.notify.outputs import Delivery, Kind, Outcome, Output
from backwatch.store import deliveries
from backwatch.store.deliveries import Leased

logger = logging.getLogger("backwatch")

SECOND_NS: Final = 1_000_000_000
SCHEDULE_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits after the first, second … attempt: the table of the Standard Webhooks specification."""
JITTER: Final = 0.1
"""Up to this share is added to a wait, so that receivers are not hit by all of us at once."""
FAILURES_BEFORE_PAUSE: Final = 3
PAUSE_S: Final = 30


@dataclass(slots=True)
class Tally:
    """What a courier did in one round."""

    delivered: int = 0
    failed: int = 0


class Courier:
    """Delivers to one endpoint.

    Args:
        engine: The store.
        output: The receiver.
        timeout_s: For one attempt, in all.
        give_up_after_s: From the first attempt; the last one is made when this time is up.
        clock_ns: Wall time.
        chance: A number in [0, 1) for the jitter.
    """

    def __init__(
        self,
        engine: sa.Engine,
        output: Output,
        *,
        timeout_s: float,
        give_up_after_s: float,
        clock_ns: Callable[[], int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.output = output
        self._engine = engine
        self._endpoint = output.endpoint
        self._timeout_s = timeout_s
        self._give_up_ns = int(give_up_after_s * SECOND_NS)
        self._clock_ns = clock_ns
        self._chance = chance
        self._failures = 0

    def register(self) -> None:
        """Makes the endpoint known; a new one is told of what came true within the time that we would have tried."""
        deliveries.register(self._engine, self._endpoint, self._clock_ns() - self._give_up_ns)

    def deliver_due(self, stopped: Callable[[], bool] = lambda: False) -> Tally:
        """Sends what is due, until nothing is, the receiver wants a pause, or we are told to stop."""
        tally = Tally()
        # Twice the timeout and some: a name look-up is not under the deadline.
        lease_ns = int((2 * self._timeout_s + 60) * SECOND_NS)
        while not stopped():
            leased = deliveries.lease(self._engine, self._endpoint, now_ns=self._clock_ns(), lease_ns=lease_ns)
            if leased is None:
                break
            delivery = Delivery(id=leased.event_id, body=leased.body, attempted_ns=self._clock_ns())
            outcome = self.output.send(delivery, self._timeout_s)
            self._mark(leased, outcome)
            tally.delivered += outcome.kind is Kind.DELIVERED
            tally.failed += outcome.kind is not Kind.DELIVERED
        return tally

    def _mark(self, leased: Leased, outcome: Outcome) -> None:
        now_ns = self._clock_ns()
        if outcome.kind is Kind.DELIVERED:
            self._failures = 0
            deliveries.done(self._engine, leased, deliveries.DELIVERED, outcome=outcome.detail, now_ns=now_ns)
            return
        logger.warning(
            "backwatch: %s did not take %s at attempt %d: %s",
            self._endpoint, leased.event_id, leased.attempt, outcome.detail,
        )  # fmt: skip
        if outcome.kind is Kind.GONE:
            deliveries.disable(self._engine, self._endpoint, now_ns=now_ns, reason=outcome.detail)
        elif outcome.kind is Kind.REJECTED:
            deliveries.done(self._engine, leased, deliveries.REJECTED, outcome=outcome.detail, now_ns=now_ns)
        else:
            self._try_again(leased, outcome, now_ns)

    def _try_again(self, leased: Leased, outcome: Outcome, now_ns: int) -> None:
        end_ns = leased.first_try_ns + self._give_up_ns
        if now_ns >= end_ns:
            deliveries.done(self._engine, leased, deliveries.EXPIRED, outcome=outcome.detail, now_ns=now_ns)
        else:
            asked_ns = now_ns + int((outcome.retry_after_s or 0) * SECOND_NS)
            next_ns = max(min(now_ns + wait_ns(leased.attempt, self._chance()), end_ns), asked_ns)
            deliveries.again(self._engine, leased, next_ns=next_ns, outcome=outcome.detail)
        self._failures += 1
        if outcome.retry_after_s:
            deliveries.pause(self._engine, self._endpoint, now_ns + int(outcome.retry_after_s * SECOND_NS))
        elif self._failures >= FAILURES_BEFORE_PAUSE:
            # It is not this event: the receiver is down. The next attempt after the pause finds out; until one
            # succeeds each failure pauses again, so a queue of thousands does not hammer it.
            deliveries.pause(self._engine, self._endpoint, now_ns + PAUSE_S * SECOND_NS)


def wait_ns(attempt: int, chance: float) -> int:
    """How long to wait after the attempt of that number.

    >>> [wait_ns(attempt, 0.0) // 10**9 for attempt in (1, 2, 3, 99)]
    [5, 300, 1800, 86400]
    """
    seconds = SCHEDULE_S[min(attempt, len(SCHEDULE_S)) - 1]
    return int(seconds * (1 + JITTER * chance) * SECOND_NS)
