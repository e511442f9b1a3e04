"""Errors inside the notifier: no delivery worker ends unnoticed, and the health check reports it."""

import json
import runpy
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import NotifySettings
from backwatch.notify.outputs import Delivery, DeliveryOutcome
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.notify.service import NotifyService
from backwatch.store import deliveries, tables
from backwatch.store.budget import DIGEST
from backwatch.store.deliveries import EventRow
from backwatch.store.transactions import reading, writing
from tests.notify.conftest import SECRET, START_NS, Clock, settings_of
from tests.services.commits import Owner, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver
from tests.services.process import ROOT

Serving = Callable[..., NotifyService]
UNSERVED = "No delivery worker has served the endpoint standard_webhook 127.0.0.1"
HEALTH = ROOT / "docker" / "health.py"


class Faulty(StandardWebhook):
    """Raises once; its error holds the receiver's response."""

    left = 1

    def send(self, delivery: Delivery, timeout_s: float) -> DeliveryOutcome:
        if self.left:
            self.left -= 1
            raise MemoryError("the receiver's response")
        return super().send(delivery, timeout_s)


@contextmanager
def _run(service: NotifyService) -> Generator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def _count_taken(one: Receiver, count: int) -> int:
    begun = time.monotonic()
    while len(one.requests) < count and time.monotonic() - begun < 30:
        time.sleep(0.05)
    return len(one.requests)


def test_delivery_worker_survives_any_error_of_its_output(store: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    Owner(store).commit(make_raised("a"), make_raised("b"), now_ns=time.time_ns())
    with receiver() as one:
        output = Faulty(one.url, [SECRET], private_hosts=["127.0.0.1"])
        with _run(NotifyService(store, NotifySettings(timeout_s=5), [output])):
            assert _count_taken(one, 2) == 2
    with reading(store) as connection:
        assert sorted(connection.scalars(sa.select(tables.delivery.c.attempts))) == [1, 2]
    assert "at attempt 1: MemoryError" in caplog.text
    assert "the receiver's response" not in caplog.text


def test_no_courier_ends_by_a_fault_of_its_own(
    store: sa.Engine, serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Owner(store).commit(make_raised(), now_ns=time.time_ns())
    real, left = deliveries.lease, [1]

    def faulty(*arguments: Any, **more: Any) -> deliveries.Leased | None:
        if left:
            left.pop()
            raise LookupError("text of an attacker")
        return real(*arguments, **more)

    monkeypatch.setattr(deliveries, "lease", faulty)
    with receiver() as one, _run(serving(one, clock_ns=time.time_ns)):
        assert _count_taken(one, 1) == 1
    assert "LookupError in faulty" in caplog.text
    assert "text of an attacker" not in caplog.text


class Unable(StandardWebhook):
    """Cannot render one event."""

    def render(self, event: EventRow) -> bytes:
        if event.alert_id == make_raised("poison").alert_id:
            raise RecursionError("text of an attacker")
        return super().render(event)


@pytest.mark.parametrize("first", ["routed", "kept up with"])
def test_event_that_cannot_be_rendered_delays_no_other(
    store: sa.Engine, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    now_ns = time.time_ns()
    with receiver() as one:
        output = Unable(one.url, [SECRET], private_hosts=["127.0.0.1"])
        service = NotifyService(store, NotifySettings(timeout_s=5), [output])
        Owner(store).commit(make_raised("a"), make_raised("poison"), make_raised("b"), now_ns=now_ns)
        if first == "kept up with":
            deliveries.route(store, lambda _: {}, now_ns=now_ns)
        done = service.run_once()
        assert (done.delivered, done.failed) == (2, 0)
        assert service.run_once().delivered == 0
    delivery, counter = tables.delivery, tables.counter
    with reading(store) as connection:
        rejected = sa.select(delivery.c.outcome).where(delivery.c.state == deliveries.REJECTED)
        assert list(connection.scalars(rejected)) == ["the event could not be rendered"]
        lost = sa.select(counter.c.value).where(counter.c.name == "delivery.unrenderable")
        assert list(connection.scalars(lost)) == [1]
    assert "RecursionError" in caplog.text
    assert "text of an attacker" not in caplog.text


class UndigestedWebhook(StandardWebhook):
    """Raises for every digest, with text of an attacker, and counts how often it was asked for one."""

    digests = 0

    def render(self, event: EventRow) -> bytes:
        if event.kind == DIGEST:
            self.digests += 1
            raise RecursionError("text of an attacker")
        return super().render(event)


def test_failing_digest_delays_no_routing_and_no_other_digest(
    store: sa.Engine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner(store)
    owner.commit(*(make_raised(str(i), level="critical") for i in range(100)), now_ns=START_NS)
    with receiver() as bad, receiver() as good:
        outputs = [
            UndigestedWebhook(bad.url, [SECRET], private_hosts=["127.0.0.1"]),
            StandardWebhook(good.url, [SECRET], private_hosts=["127.0.0.1"]),
        ]
        service = NotifyService(store, NotifySettings(timeout_s=5, events_per_hour=60), outputs, clock)
        assert service.run_once().routed == 100
        assert DIGEST in {json.loads(request.body)["type"] for request in good.requests}
        owner.commit(make_raised("later", level="low"), now_ns=START_NS)
        assert service.run_once().routed == 1
        assert outputs[0].digests == 1  # type: ignore[attr-defined]
        clock.pass_s(61)
        service.run_once()
        assert outputs[0].digests == 2  # type: ignore[attr-defined]
    assert caplog.text.count("cannot be made: RecursionError") == 2
    assert "text of an attacker" not in caplog.text


def _request(monkeypatch: pytest.MonkeyPatch, store_url: str, one: Receiver | None) -> str:
    for name, value in settings_of(store_url, one).items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(HEALTH))["notify"]()


def _later(store: sa.Engine, seconds: int) -> None:
    table = tables.endpoint
    with writing(store) as connection:
        connection.execute(sa.update(table).values(served_ns=table.c.served_ns - seconds * 1_000_000_000))


def test_a_notifier_is_healthy_as_long_as_its_couriers_make_their_rounds(
    store_url: str, store: sa.Engine, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(temper.status("500 Oops")) as one:
        assert _request(monkeypatch, store_url, one).startswith(UNSERVED)
        Owner(store).commit(make_raised(), now_ns=time.time_ns())
        service = serving(one, clock_ns=time.time_ns)
        service.run_once()
        assert _request(monkeypatch, store_url, one) == ""
        _later(store, 600)
        assert _request(monkeypatch, store_url, one).startswith(UNSERVED)
        with monkeypatch.context() as patched:
            patched.setattr(deliveries, "lease", lambda *_, **__: 1 / 0)
            service.workers[0]._kept_up_ns = None
            with pytest.raises(ZeroDivisionError):
                service.workers[0].deliver_due()
        assert _request(monkeypatch, store_url, one) != ""
        service.workers[0].deliver_due()
        assert _request(monkeypatch, store_url, one) == ""


def test_a_notifier_without_an_output_is_healthy_while_events_wait_for_one(
    store_url: str, store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Owner(store).commit(make_raised(), now_ns=time.time_ns() - 600_000_000_000)
    assert _request(monkeypatch, store_url, None) == ""
    with receiver() as one:
        assert _request(monkeypatch, store_url, one).startswith("No process has taken up new events since ")
