"""Critical deliveries have a lane of their own: nothing that is not critical delays them."""

import json
import socket
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import NotifySettings
from backwatch.notify.outputs import Delivery, DeliveryOutcome
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.notify.service import NotifyService
from backwatch.store import deliveries, tables
from backwatch.store.events import event_id
from backwatch.store.monitoring.incidents import CRITICAL_UNSENT, find_delivery_incidents
from backwatch.store.transactions import reading
from tests.notify.conftest import SECRET, START_NS, Clock
from tests.services.commits import Owner, alert_id, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver
from tests.services.in_thread import run_in_thread
from tests.services.waiting import wait_until

Serving = Callable[..., NotifyService]
URGENT_S = 5.0
CRITICAL = event_id(alert_id("unusual-query", "urgent"), 1, 1_000, "alert.opened")


Temper = Callable[[socket.socket, Receiver], None]


def by_level(critical: Temper, others: Temper) -> Temper:
    """A temper: one answer to what is critical, another to all else."""

    def answer(connection: socket.socket, one: Receiver) -> None:
        urgent = any(b'"critical"' in request.body for request in one.requests[-2:])
        (critical if urgent else others)(connection, one)

    return answer


def slow(seconds: float) -> Callable[[socket.socket, Receiver], None]:
    """A temper: takes its time, then is content."""

    def answer(connection: socket.socket, one: Receiver) -> None:
        one.stop.wait(seconds)
        temper.OK(connection, one)

    return answer


@pytest.fixture
def owner(store: sa.Engine) -> Owner:
    return Owner(store)


def test_a_critical_alert_overtakes_three_thousand_queued_low_ones(owner: Owner, serving: Serving) -> None:
    now_ns = time.time_ns()
    owner.commit(*(make_raised(str(i), level="low") for i in range(3_000)), now_ns=now_ns)
    with receiver(slow(0.02)) as one, run_in_thread(serving(one, clock_ns=time.time_ns).run):
        wait_until(lambda: len(one.requests) > 3, within_s=120)
        owner.commit(make_raised("urgent", level="critical"), now_ns=time.time_ns())
        wait_until(lambda: CRITICAL in one.ids, within_s=URGENT_S)
        assert len(one.requests) < 3_000


def test_an_attempt_that_hangs_delays_no_critical_alert(owner: Owner, serving: Serving) -> None:
    owner.commit(make_raised("low", level="low"), now_ns=time.time_ns())
    with receiver(temper.stall) as one, run_in_thread(serving(one, clock_ns=time.time_ns, timeout_s=15).run):
        wait_until(lambda: len(one.requests) == 1, within_s=60)
        one.answer = temper.OK
        owner.commit(make_raised("urgent", level="critical"), now_ns=time.time_ns())
        wait_until(lambda: CRITICAL in one.ids, within_s=URGENT_S)


@pytest.mark.parametrize("refusal", [temper.status("500 No"), temper.status("429 Slow", "Retry-After: 600")])
def test_low_events_that_are_refused_pause_no_critical_alert(
    store: sa.Engine, owner: Owner, serving: Serving, refusal: Callable[[socket.socket, Receiver], None]
) -> None:
    owner.commit(*(make_raised(str(i), level="low") for i in range(10)), now_ns=time.time_ns())

    def is_paused() -> bool:
        with reading(store) as connection:
            return any(connection.scalars(sa.select(tables.endpoint.c.paused_until_ns)))

    with receiver(refusal) as one, run_in_thread(serving(one, clock_ns=time.time_ns).run):
        wait_until(is_paused, within_s=60)
        one.answer = by_level(temper.OK, refusal)
        owner.commit(make_raised("urgent", level="critical"), now_ns=time.time_ns())
        wait_until(lambda: CRITICAL in one.ids, within_s=URGENT_S)


def test_the_highest_level_is_sent_first(owner: Owner, serving: Serving) -> None:
    levels = ["low", "high", "medium", "high", "informational", "low"]
    owner.commit(*(make_raised(str(i), level=level) for i, level in enumerate(levels)), now_ns=START_NS)
    with receiver() as one:
        serving(one, minimum_level="informational").run_once()
    levels = [json.loads(request.body)["data"]["level"] for request in one.requests]
    assert levels == ["high", "high", "medium", "low", "low", "informational"]


def test_critical_failures_pause_the_critical_lane_alone(
    store: sa.Engine, owner: Owner, serving: Serving, clock: Clock
) -> None:
    owner.commit(*(make_raised(str(i), level="critical") for i in range(9)), now_ns=START_NS)
    with receiver(temper.status("500 No")) as one:
        service = serving(one)
        service.run_once()
        assert len(one.requests) == 3
        one.answer = temper.OK
        owner.commit(make_raised("low", level="low"), now_ns=START_NS)
        service.run_once()
        assert len(one.requests) == 4
        clock.pass_s(31)
        service.run_once()
    assert len(set(one.ids)) == 10
    with reading(store) as connection:
        assert set(connection.scalars(sa.select(tables.delivery.c.state))) == {deliveries.DELIVERED}


class Hanging(StandardWebhook):
    """Hangs in what is critical, as in a look-up that no time-out ends, until it is released."""

    def __init__(self, url: str) -> None:
        super().__init__(url, [SECRET], private_hosts=["127.0.0.1"])
        self.hangs, self.release = threading.Event(), threading.Event()

    def send(self, delivery: Delivery, timeout_s: float) -> DeliveryOutcome:
        if b'"critical"' in delivery.body:
            self.hangs.set()
            self.release.wait(120)
        return super().send(delivery, timeout_s)


def test_a_critical_worker_that_hangs_is_an_incident_until_it_goes_on(
    store: sa.Engine, owner: Owner, clock: Clock
) -> None:
    owner.commit(make_raised("urgent", level="critical"), make_raised("low", level="low"), now_ns=START_NS)

    def kinds() -> list[str]:
        with reading(store) as connection:
            return [one.kind for one in find_delivery_incidents(connection, {output.endpoint: 2.0}, clock.now_ns)]

    def is_served() -> bool:
        with reading(store) as connection:
            return connection.scalar(sa.select(tables.endpoint.c.served_ns)) == clock.now_ns

    with receiver() as one:
        output = Hanging(one.url)
        settings = NotifySettings(timeout_s=2, events_per_hour=0)
        with run_in_thread(NotifyService(store, settings, [output], clock).run):
            try:
                wait_until(lambda: output.hangs.is_set() and len(one.requests) == 1, within_s=60)
                clock.pass_s(2 * 2 + 60 + 59)
                wait_until(is_served, within_s=60)
                assert kinds() == []
                clock.pass_s(11)
                wait_until(is_served, within_s=60)
                assert kinds() == [CRITICAL_UNSENT]
            finally:
                output.release.set()
            wait_until(lambda: kinds() == [], within_s=60)
            assert CRITICAL in one.ids
