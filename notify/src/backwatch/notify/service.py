"""Notify as a process: turns events into deliveries, and runs two delivery workers per endpoint."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import (
    NotifySettings,
    SettingError,
    describe_unknown,
    names_of,
    unknown_output_names,
)  # fmt: skip
from backwatch.notify.deliver import SECOND_NS, DeliveryWorker, is_time
from backwatch.notify.outputs import Output, discover
from backwatch.notify.store_wait import StoreWait
from backwatch.store import deliveries
from backwatch.store.budget import EventBudget
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.deliveries import EventRow
from backwatch.store.events import format_moment, is_wanted
from backwatch.store.giving_up import give_up_unserved
from backwatch.store.text import LEVELS
from backwatch.store.transactions import reading

logger = logging.getLogger("backwatch")

POLL_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
SWEEP_S: Final = 60
"""Seconds between two searches for deliveries to endpoints without a notifier."""
DIGEST_RETRY_S: Final = 60
"""A digest that could not be made is tried again after so long; what it counts stays held."""
EXIT_S: Final = 5.0
"""How long the end waits for an attempt under way; one that is cut off comes again, under the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCounts:
    """Counts of one round.

    Attributes:
        left: A line with the reason for each endpoint that did not accept everything, though nothing failed.
    """

    routed: int
    delivered: int
    failed: int
    left: tuple[str, ...] = ()


def list_outputs(settings: NotifySettings) -> list[Output]:
    """Return every receiver that the settings configure.

    Raises:
        SettingError: A setting of an output is unknown or cannot be used.
    """
    kinds = list(discover())
    for name in unknown_output_names(names_of(*(kind.settings for kind in kinds if kind.settings))):
        raise SettingError(describe_unknown(name))
    return [output for kind in kinds for output in kind.from_settings(settings)]


class NotifyService:
    """Routes events and delivers them.

    Args:
        engine: The store.
        settings: Timeouts and the lowest delivered level.
        outputs: The receivers; absent: those that the settings name.
        clock_ns: Wall time.
    """

    def __init__(
        self,
        engine: sa.Engine,
        settings: NotifySettings,
        outputs: Sequence[Output] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if settings.minimum_level not in LEVELS:
            raise SettingError(
                f"BACKWATCH_WEBHOOK_MINIMUM_LEVEL={settings.minimum_level[:40]!r}: must be one of {', '.join(LEVELS)}"
            )
        self._engine = engine
        self._store_wait = StoreWait("notify")
        self._clock_ns = clock_ns
        self._lowest = LEVELS.index(settings.minimum_level)
        # At least the longest round of a delivery worker, or one that waits for its receiver would count as dead.
        self._unserved_ns = int((settings.give_up_after_s + 2 * settings.timeout_s + 60) * SECOND_NS)
        self._swept_ns: int | None = None
        self._digest_failed_ns: dict[str, int] = {}
        self._budget = EventBudget(settings.events_per_hour)
        chosen = list_outputs(settings) if outputs is None else outputs
        self.workers, self.critical_workers = (
            [
                DeliveryWorker(
                    engine, output, timeout_s=settings.timeout_s, give_up_after_s=settings.give_up_after_s,
                    lowest=self._lowest, clock_ns=clock_ns, budget=self._budget, critical=critical,
                )
                for output in chosen
            ]
            for critical in (False, True)
        )  # fmt: skip

    def run_once(self) -> RoundCounts:
        """One round: routes all that is new, then every delivery worker sends what is due, all at the same time."""
        for worker in self.workers:
            worker.register()
        routed = self._route()
        if not self.workers:
            return RoundCounts(routed=routed, delivered=0, failed=0)
        workers = (*self.critical_workers, *self.workers)
        with ThreadPoolExecutor(len(workers), "backwatch-delivery") as pool:
            tallies = list(pool.map(lambda worker: worker.deliver_due(), workers))
        return RoundCounts(
            routed=routed, delivered=sum(tally.delivered for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            left=self._describe_unsent(),
        )  # fmt: skip

    def run(self, stop: threading.Event) -> None:
        """Goes on until ``stop``; a store that is away is waited for. Ends within a few seconds."""
        threads = [
            threading.Thread(target=self._carry, args=(worker, stop), name="backwatch-delivery", daemon=True)
            for worker in (*self.critical_workers, *self.workers)
        ]
        self._patiently(stop, lambda: [worker.register() for worker in self.workers], once=True)
        for thread in threads:
            thread.start()
        self._patiently(stop, self._route)
        for thread in threads:
            thread.join(EXIT_S)

    def _carry(self, worker: DeliveryWorker, stop: threading.Event) -> None:
        self._patiently(stop, lambda: worker.deliver_due(stop.is_set))

    def _patiently(self, stop: threading.Event, work: Callable[[], object], *, once: bool = False) -> None:
        """Does the work over and over; while the store is away, ever less often."""
        pause_s = POLL_S
        while not stop.is_set():
            try:
                work()
                self._store_wait.over()
                if once:
                    return
                pause_s = POLL_S
            except (StoreUnavailable, StoreFull, DBAPIError) as error:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                self._store_wait.note(error)
            except Exception as error:  # noqa: BLE001  a thread that ended would go unnoticed, and alerts undelivered
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                at = traceback.extract_tb(error.__traceback__)[-1]
                logger.error(  # noqa: TRY400  its text may be an attacker's
                    "backwatch: notify tries again after a fault of its own: %s in %s, line %d",
                    type(error).__name__, at.name, at.lineno or 0,
                )  # fmt: skip
            stop.wait(pause_s)

    def _route(self) -> int:
        """Routes all that is new. Where there is no output it waits for one: what is routed is not routed again."""
        self._sweep()
        if not self.workers:
            return 0
        total = 0
        while routed := deliveries.route(
            self._engine, self._render, now_ns=self._clock_ns(), budget=self._budget
        ):  # fmt: skip
            total += routed
        for worker in self.workers:
            self._make_digest(worker)
        return total

    def _make_digest(self, worker: DeliveryWorker) -> None:
        """Make the endpoint's digest if one is due; a fault in it keeps no other digest and no event back."""
        endpoint, now_ns = worker.output.endpoint, self._clock_ns()
        if not is_time(self._digest_failed_ns.get(endpoint), now_ns, DIGEST_RETRY_S):
            return
        try:
            worker.make_digest()
            self._digest_failed_ns.pop(endpoint, None)
        except (StoreUnavailable, StoreFull, DBAPIError):
            raise
        except Exception as error:  # noqa: BLE001  an exception of an output must not slow the routing of all alerts
            self._digest_failed_ns[endpoint] = now_ns
            logger.error(  # noqa: TRY400  its text may be an attacker's
                "backwatch: the digest for %s cannot be made: %s; trying again", endpoint, type(error).__name__
            )

    def _sweep(self) -> None:
        now_ns = self._clock_ns()
        if is_time(self._swept_ns, now_ns, SWEEP_S):
            give_up_unserved(self._engine, now_ns=now_ns, after_ns=self._unserved_ns)
            self._swept_ns = now_ns

    def _describe_unsent(self) -> tuple[str, ...]:
        now_ns, lines = self._clock_ns(), list[str]()
        with reading(self._engine) as connection:
            for name in (worker.output.endpoint for worker in self.workers):
                found = deliveries.get_standing(connection, name, now_ns=now_ns)
                if found.disabled is not None:
                    lines.append(f"{name} is disabled ({found.disabled}) until `backwatch notify --test` is taken")
                elif found.waiting and found.paused_until_ns > now_ns:
                    lines.append(
                        f"{name} is left alone until {format_moment(found.paused_until_ns)}, {found.waiting} wait"
                    )
                elif found.due:
                    lines.append(f"{name}: {found.due} that are due were not taken")
        return tuple(lines)

    def _render(self, event: EventRow) -> Mapping[str, bytes | None]:
        if not is_wanted(event.kind, event.level_rank, self._lowest):
            return {}
        return {worker.output.endpoint: worker.render(event) for worker in self.workers}
