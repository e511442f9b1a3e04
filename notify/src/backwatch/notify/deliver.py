"""One endpoint's delivery worker: leases due deliveries, has them sent, and marks the outcome.

Each endpoint has two delivery workers with a thread each, one for critical deliveries and one for all others: so a
receiver that is dead, slow or hostile delays no other one, and no event delays a critical one.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from backwatch.notify.outputs import Delivery, DeliveryOutcome, Kind, Output
from backwatch.store import deliveries
from backwatch.store.budget import UNLIMITED, EventBudget, digest
from backwatch.store.deliveries import EventRow, Leased
from backwatch.store.giving_up import give_up_put_off

logger = logging.getLogger("backwatch")

SECOND_NS: Final = 1_000_000_000
SCHEDULE_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits after the first, second … attempt: the table of the Standard Webhooks specification."""
JITTER: Final = 0.1
"""Up to this share is added to a wait, so that notifiers do not hit a receiver at the same time."""
FAILURES_BEFORE_PAUSE: Final = 3
PAUSE_S: Final = 30
KEEP_UP_S: Final = 10
"""Seconds between two searches for events that others routed, and between two signs of life."""


@dataclass(slots=True)
class Tally:
    """Counts of one round of a delivery worker."""

    delivered: int = 0
    failed: int = 0


class DeliveryWorker:
    """Delivers to one endpoint.

    Args:
        engine: The store.
        output: The receiver.
        timeout_s: For one attempt, in all.
        give_up_after_s: From the first attempt; the last one is made when this time is up.
        lowest: Rank of the lowest delivered level.
        clock_ns: Wall time.
        chance: A number in [0, 1) for the jitter.
        budget: Events that are sent one by one; the rest is counted in a digest.
        critical: Whether it delivers critical events, or all others; the latter also catches up and makes digests.
    """

    def __init__(
        self,
        engine: sa.Engine,
        output: Output,
        *,
        timeout_s: float,
        give_up_after_s: float,
        lowest: int = 0,
        clock_ns: Callable[[], int],
        chance: Callable[[], float] = random.random,
        budget: EventBudget = UNLIMITED,
        critical: bool = False,
    ) -> None:
        self.output = output
        self._engine = engine
        self._endpoint = output.endpoint
        self._timeout_s = timeout_s
        self._give_up_ns = int(give_up_after_s * SECOND_NS)
        self._lowest = lowest
        self._clock_ns = clock_ns
        self._chance = chance
        self._budget = budget
        self._critical = critical
        self._failures = 0
        self._kept_up_ns: int | None = None

    def register(self) -> None:
        """Register the endpoint; a new one receives the events of the retry period."""
        now_ns = self._clock_ns()
        deliveries.register(self._engine, self._endpoint, now_ns - self._give_up_ns, now_ns=now_ns)
        self._kept_up_ns = None
        self._keep_up()

    def render(self, event: EventRow) -> bytes | None:
        """Return the event's body; ``None`` where the output raises: it is then set aside, and stalls no other."""
        try:
            return self.output.render(event)
        except Exception as error:  # noqa: BLE001  one event must not stop those after it
            logger.error(  # noqa: TRY400  its text may be an attacker's
                "backwatch: event %s cannot be rendered for %s: %s", event.id, self._endpoint, type(error).__name__
            )
            return None

    def deliver_due(self, stopped: Callable[[], bool] = lambda: False) -> Tally:
        """Send due deliveries until none is left, the receiver wants a pause, or ``stopped`` is true."""
        tally = Tally()
        # Twice the timeout and some: a name look-up is not under the deadline.
        lease_ns = int((2 * self._timeout_s + 60) * SECOND_NS)
        while not stopped():
            leased = deliveries.lease(
                self._engine, self._endpoint, now_ns=self._clock_ns(), lease_ns=lease_ns, critical=self._critical
            )
            if leased is not None:
                delivery = Delivery(id=leased.event_id, body=leased.body, attempted_ns=self._clock_ns())
                outcome = attempt(self.output, delivery, self._timeout_s)
                self._mark(leased, outcome)
                tally.delivered += outcome.kind is Kind.DELIVERED
                tally.failed += outcome.kind is not Kind.DELIVERED
            if not self._critical:
                self._keep_up()  # after the work and not before it: by this it is known that the work gets on
            if leased is None:
                break
        return tally

    def _keep_up(self) -> None:
        now_ns = self._clock_ns()
        if is_time(self._kept_up_ns, now_ns, KEEP_UP_S):
            deliveries.keep_up(
                self._engine, self._endpoint, self.render,
                lowest=self._lowest, not_before_ns=now_ns - self._give_up_ns, now_ns=now_ns, budget=self._budget,
            )  # fmt: skip
            self._kept_up_ns = now_ns

    def make_digest(self) -> int:
        """Makes a digest of what is beyond the budget, if one is due; the number of events that it counts."""
        return digest(self._engine, self._endpoint, self._render_digest, self._budget, self._clock_ns())

    def _render_digest(self, event_id: str, kind: str, rank: int, body: str) -> bytes:
        return self.output.render(EventRow(id=event_id, kind=kind, alert_id="", level_rank=rank, body=body))

    def _mark(self, leased: Leased, outcome: DeliveryOutcome) -> None:
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
            deliveries.disable(self._engine, leased, now_ns=now_ns, reason=outcome.detail)
        elif outcome.kind is Kind.REJECTED:
            deliveries.done(self._engine, leased, deliveries.REJECTED, outcome=outcome.detail, now_ns=now_ns)
        else:
            self._try_again(leased, outcome, now_ns)

    def _try_again(self, leased: Leased, outcome: DeliveryOutcome, now_ns: int) -> None:
        end_ns = leased.first_try_ns + self._give_up_ns
        asked_ns = now_ns + int((outcome.retry_after_s or 0) * SECOND_NS)
        if now_ns >= end_ns:
            deliveries.done(self._engine, leased, deliveries.EXPIRED, outcome=outcome.detail, now_ns=now_ns)
        else:
            next_ns = min(max(now_ns + wait_ns(leased.attempt, self._chance()), asked_ns), end_ns)
            deliveries.retry_later(self._engine, leased, next_ns=next_ns, outcome=outcome.detail)
        self._failures += 1
        if outcome.retry_after_s:
            given_up = give_up_put_off(
                self._engine, leased, critical=self._critical, give_up_ns=self._give_up_ns,
                outcome=outcome.detail, now_ns=now_ns,
            )  # fmt: skip
            # No longer than to the last attempt: else an expiry, which is a reported loss, would come as much too late.
            if not given_up:
                self._pause(min(asked_ns, max(end_ns, now_ns + PAUSE_S * SECOND_NS)))
        elif self._failures >= FAILURES_BEFORE_PAUSE:
            # It is not this event: the receiver is down. The next attempt after the pause finds out; until one
            # succeeds each failure pauses again, so a queue of thousands does not hammer it.
            self._pause(now_ns + PAUSE_S * SECOND_NS)

    def _pause(self, until_ns: int) -> None:
        """Pause the receiver in this lane: a failed delivery that is not critical must not delay a critical one."""
        deliveries.pause(self._engine, self._endpoint, until_ns, critical=self._critical)


def attempt(output: Output, delivery: Delivery, timeout_s: float) -> DeliveryOutcome:
    """Make one attempt. An exception of the output is retried, and only its type is recorded."""
    try:
        return output.send(delivery, timeout_s)
    except Exception as error:  # noqa: BLE001  a receiver that triggers a fault must not end its delivery worker
        return DeliveryOutcome(kind=Kind.RETRY, detail=type(error).__name__)


def is_time(last_ns: int | None, now_ns: int, every_s: float) -> bool:
    """Whether what is done so often is due: it never was done, it was long ago, or the clock was put back since."""
    return last_ns is None or not 0 <= now_ns - last_ns < every_s * SECOND_NS


def wait_ns(attempt: int, chance: float) -> int:
    """How long to wait after the attempt of that number.

    >>> [wait_ns(attempt, 0.0) // 10**9 for attempt in (1, 2, 3, 99)]
    [5, 300, 1800, 86400]
    """
    seconds = SCHEDULE_S[min(attempt, len(SCHEDULE_S)) - 1]
    return int(seconds * (1 + JITTER * chance) * SECOND_NS)
