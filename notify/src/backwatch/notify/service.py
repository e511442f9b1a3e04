"""Notify as a process: turns events into deliveries, and runs one courier per endpoint."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import NotifySettings, SettingError
from backwatch.notify.deliver import Courier
from backwatch.notify.outputs import Output, discover
from backwatch.store import deliveries
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.deliveries import EventRow
from backwatch.store.text import LEVELS

logger = logging.getLogger("backwatch")

POLL_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
EXIT_S: Final = 5.0
"""How long the end waits for an attempt under way; one that is cut off comes again, under the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round did."""

    routed: int
    delivered: int
    failed: int


def configured_outputs(settings: NotifySettings) -> list[Output]:
    """Every receiver that the settings name."""
    return [one for kind in discover() for one in kind.configured(settings)]


class Service:
    """Delivers what the store holds.

    Args:
        engine: The store.
        settings: Timeouts and the lowest level that is told.
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
        self._clock_ns = clock_ns
        self._lowest = LEVELS.index(settings.minimum_level)
        self.couriers = [
            Courier(
                engine, one, timeout_s=settings.timeout_s, give_up_after_s=settings.give_up_after_s, clock_ns=clock_ns
            )
            for one in (configured_outputs(settings) if outputs is None else outputs)
        ]

    def run_once(self) -> Round:
        """One round: routes all that is new, then every courier sends what is due, all at the same time."""
        for courier in self.couriers:
            courier.register()
        routed = self._route()
        if not self.couriers:
            return Round(routed=routed, delivered=0, failed=0)
        with ThreadPoolExecutor(len(self.couriers), "backwatch-courier") as pool:
            tallies = list(pool.map(lambda courier: courier.deliver_due(), self.couriers))
        return Round(
            routed=routed, delivered=sum(one.delivered for one in tallies), failed=sum(one.failed for one in tallies)
        )

    def run(self, stop: threading.Event) -> None:
        """Goes on until ``stop``; a store that is away is waited for. Ends within a few seconds."""
        threads = [
            threading.Thread(target=self._carry, args=(courier, stop), name="backwatch-courier", daemon=True)
            for courier in self.couriers
        ]
        self._patiently(stop, lambda: [courier.register() for courier in self.couriers], once=True)
        for thread in threads:
            thread.start()
        self._patiently(stop, self._route)
        for thread in threads:
            thread.join(EXIT_S)

    def _carry(self, courier: Courier, stop: threading.Event) -> None:
        self._patiently(stop, lambda: courier.deliver_due(stop.is_set))

    def _patiently(self, stop: threading.Event, work: Callable[[], object], *, once: bool = False) -> None:
        """Does the work over and over; while the store is away, ever less often."""
        pause_s = POLL_S
        while not stop.is_set():
            try:
                work()
                if once:
                    return
                pause_s = POLL_S
            except (StoreUnavailable, StoreFull, DBAPIError) as error:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                logger.warning("backwatch: notify waits for the store: %s", str(error).splitlines()[0][:300])
            stop.wait(pause_s)

    def _route(self) -> int:
        total = 0
        while routed := deliveries.route(self._engine, self._render, now_ns=self._clock_ns()):
            total += routed
        return total

    def _render(self, event: EventRow) -> Mapping[str, bytes]:
        if event.level_rank < self._lowest:
            return {}
        return {courier.output.endpoint: courier.output.render(event) for courier in self.couriers}
