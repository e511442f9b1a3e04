"""From the store to the receiver: at least once, under one id; a dead receiver delays no other."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from standardwebhooks.webhooks import Webhook

from backwatch.notify.deliver import wait_ns
from backwatch.notify.service import NotifyService
from backwatch.store import deliveries, entries, queries, rules_meta, tables
from backwatch.store.decisions import decide
from backwatch.store.events import event_id
from backwatch.store.transactions import reading, writing
from tests.notify.conftest import SECRET, START_NS, Clock
from tests.services.commits import Owner, alert_id, make_cleared, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import receiver

Serving = Callable[..., NotifyService]
ID = alert_id("unusual-query", "k")


def _states(store: sa.Engine) -> list[tuple[str, int]]:
    table = tables.delivery
    with reading(store) as connection:
        return sorted(tuple(row) for row in connection.execute(sa.select(table.c.state, table.c.attempts)))


def test_alert_is_sent_when_it_opens_reopens_and_clears(store: sa.Engine, serving: Serving) -> None:
    rule = {"name": "unusual-query", "title": "A Query", "level": "high", "remediation": "Look."}
    rules_meta.write_rules(store, [{**rule, "tags": ["attack.t1190"]}])
    owner = Owner(store)
    with receiver() as one:
        service = serving(one)
        for step in (make_raised(), make_cleared(), make_raised(at_ns=3_000), make_raised(at_ns=3_001)):
            owner.commit(step, now_ns=START_NS)
            service.run_once()
    bodies = [json.loads(request.body) for request in one.requests]
    assert [body["type"] for body in bodies] == ["alert.opened", "alert.cleared", "alert.reopened"]
    data = bodies[0]["data"]
    assert (data["id"], data["rule"], data["level"], data["title"]) == (ID, "unusual-query", "high", "A Query")
    assert (data["app"], data["key"], data["episode"], data["count"]) == ("shop", "k", 1, 1)
    assert (data["evidence"], data["remediation"], data["tags"]) == ({"n": 0}, "Look.", ["attack.t1190"])
    assert one.ids == [
        event_id(ID, 1, 1_000, "alert.opened"),
        event_id(ID, 1, 1_000, "alert.cleared"),
        event_id(ID, 2, 3_000, "alert.reopened"),
    ]
    assert _states(store) == [("delivered", 1)] * 3


def test_attempts_share_id_and_body_and_differ_in_signature(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    owner = Owner(store)
    owner.commit(make_raised(), now_ns=START_NS)
    with receiver(temper.status("500 Oops")) as one:
        service = serving(one)
        service.run_once()
        owner.commit(make_raised(at_ns=5_000), now_ns=START_NS)
        clock.pass_s(6)
        one.answer = temper.OK
        service.run_once()
    first, second = one.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 6
    for request in one.requests:
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
        signature = Webhook(SECRET).sign(request.headers["webhook-id"], at, request.body.decode())
        assert request.headers["webhook-signature"] == signature
    assert first.headers["content-type"] == "application/json"
    assert _states(store) == [("delivered", 2)]


def test_schedule_follows_the_specification_until_it_gives_up(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    Owner(store).commit(make_raised(), now_ns=START_NS)
    attempts: list[float] = []
    with receiver(temper.status("503 Away")) as one:
        service = serving(one, give_up_after_s=6 * 3600)
        while True:
            before = len(one.requests)
            service.run_once()
            attempts += [(clock.now_ns - START_NS) / 1e9] * (len(one.requests) - before)
            with store.connect() as connection:
                row = connection.execute(sa.select(tables.delivery)).one()
            if row.state != "pending":
                break
            clock.now_ns = row.next_ns
    for expected, got in zip((0, 5, 305, 2_105, 9_305, 21_600), attempts, strict=True):
        assert expected <= got <= expected * 1.1
    assert row.state == "expired"
    with reading(store) as connection:
        assert queries.health(connection).losses == {"delivery.expired": 1}
        assert [entry.kind for entry in entries.after(connection, 0)] == ["loss"]
        assert queries.health(connection).endpoints[0].lost == 1


def test_retry_after_is_honoured_for_the_whole_endpoint(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    Owner(store).commit(make_raised("a"), make_raised("b"), now_ns=START_NS)
    with receiver(temper.status("429 Slow down", "Retry-After: 120")) as one:
        service = serving(one)
        service.run_once()
        clock.pass_s(119)
        service.run_once()
        assert len(one.requests) == 1
        one.answer = temper.OK
        clock.pass_s(2)
        service.run_once()
    assert len(one.requests) == 3
    assert len(set(one.ids)) == 2


def test_pause_of_a_day_ends_when_its_delivery_is_given_up(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    owner = Owner(store)
    owner.commit(make_raised("a"), make_raised("b"), make_raised("c"), now_ns=START_NS)
    with receiver(temper.status("429 Slow down", "Retry-After: 86400")) as one:
        service = serving(one, give_up_after_s=3600)
        service.run_once()
        clock.pass_s(1800)
        owner.commit(make_raised("d"), now_ns=clock())
        service.run_once()
        assert len(one.requests) == 1
        clock.pass_s(1801)
        service.run_once()
        with reading(store) as connection:
            assert queries.health(connection).losses == {"delivery.expired": 3}
        assert len(one.requests) == 3
        clock.pass_s(3601)
        service.run_once()
        with reading(store) as connection:
            assert queries.health(connection).losses == {"delivery.expired": 4}


def test_gone_receiver_is_disabled_and_its_missed_events_are_a_loss(store: sa.Engine, serving: Serving) -> None:
    owner = Owner(store)
    owner.commit(make_raised("a"), make_raised("b"), now_ns=START_NS)
    with receiver(temper.status("410 Gone")) as one:
        service = serving(one)
        service.run_once()
        owner.commit(make_raised("c"), now_ns=START_NS)
        service.run_once()
        assert len(one.requests) == 1
        with reading(store) as connection:
            health = queries.health(connection)
        assert health.endpoints[0].disabled_ns is not None
        assert health.losses == {"delivery.disabled": 3}
        one.answer = temper.OK
        deliveries.enable(store, health.endpoints[0].name)
        owner.commit(make_raised("d"), now_ns=START_NS)
        service.run_once()
    assert len(one.requests) == 2


def test_a_body_that_is_never_taken_is_not_sent_again(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    Owner(store).commit(make_raised(), now_ns=START_NS)
    with receiver(temper.status("422 No")) as one:
        service = serving(one)
        service.run_once()
        clock.pass_s(90_000)
        service.run_once()
    assert len(one.requests) == 1
    assert _states(store) == [("rejected", 1)]


def test_what_is_muted_is_not_delivered_and_is_no_loss(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    owner = Owner(store)
    owner.commit(make_raised(), now_ns=START_NS)
    with receiver(temper.status("500 Oops")) as one:
        service = serving(one)
        service.run_once()
        decide(store, ID, "mute", by="ann", now_ns=START_NS)
        owner.commit(make_cleared(), now_ns=START_NS)
        clock.pass_s(600)
        service.run_once()
    assert len(one.requests) == 1
    assert _states(store) == [("muted", 0), ("muted", 1)]
    with reading(store) as connection:
        assert queries.health(connection).losses == {}


def test_alert_below_the_lowest_level_is_not_sent(store: sa.Engine, serving: Serving) -> None:
    Owner(store).commit(make_raised("a", level="medium"), make_raised("b", level="critical"), now_ns=START_NS)
    with receiver() as one:
        serving(one, minimum_level="high").run_once()
    assert one.ids == [event_id(alert_id("unusual-query", "b"), 1, 1_000, "alert.opened")]


def test_a_new_endpoint_is_not_flooded_with_the_past(store: sa.Engine, serving: Serving) -> None:
    owner = Owner(store)
    owner.commit(make_raised("old"), now_ns=START_NS - 7 * 3_600_000_000_000)
    owner.commit(make_raised("new"), now_ns=START_NS - 5 * 3_600_000_000_000)
    with receiver() as one:
        serving(one, give_up_after_s=6 * 3600).run_once()
    assert one.ids == [event_id(alert_id("unusual-query", "new"), 1, 1_000, "alert.opened")]


def test_death_between_sending_and_marking_repeats_the_same_id(
    store: sa.Engine, serving: Serving, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Owner(store).commit(make_raised(), now_ns=START_NS)
    with receiver() as one:
        service = serving(one)
        with monkeypatch.context() as patched:
            patched.setattr(deliveries, "done", lambda *_, **__: None)  # as if killed right before it
            service.run_once()
        service.run_once()
        assert len(one.requests) == 1  # its lease still runs
        clock.pass_s(120)
        service.run_once()
    assert len(one.requests) == 2
    assert len(set(one.ids)) == 1
    assert _states(store) == [("delivered", 2)]


def test_a_mark_that_comes_too_late_undoes_nothing(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    Owner(store).commit(make_raised(), now_ns=START_NS)
    with receiver() as one:
        service = serving(one)
        endpoint = service.workers[0].output.endpoint
        service.workers[0].register()
        deliveries.route(store, lambda _: {endpoint: b"{}"}, now_ns=START_NS)
        slow = deliveries.lease(store, endpoint, now_ns=START_NS, lease_ns=10)
        clock.pass_s(1)
        service.run_once()
    assert slow is not None
    deliveries.done(store, slow, deliveries.EXPIRED, outcome="late", now_ns=clock())
    deliveries.retry_later(store, slow, next_ns=clock(), outcome="late")
    assert _states(store) == [("delivered", 2)]


def test_two_notifiers_share_the_work_and_send_nothing_twice(store: sa.Engine, serving: Serving) -> None:
    Owner(store).commit(*(make_raised(str(number)) for number in range(30)), now_ns=START_NS)
    with receiver() as one:
        services = [serving(one, timeout_s=30) for _ in range(3)]
        threads = [threading.Thread(target=service.run_once) for service in services]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(one.ids) == 30
    assert len(set(one.ids)) == 30


@pytest.mark.parametrize(
    "answer", [temper.stall, temper.drip, temper.drip_body, temper.huge], ids=lambda one: one.__name__
)
def test_a_bad_receiver_never_delays_another(store: sa.Engine, serving: Serving, answer: Callable[..., None]) -> None:
    owner = Owner(store)
    stop = threading.Event()
    with receiver(answer) as bad, receiver() as good:
        service = serving(bad, good, clock_ns=time.time_ns, timeout_s=1.5)
        running = threading.Thread(target=service.run, args=(stop,))
        running.start()
        try:
            waited: list[float] = []
            for number in range(4):
                owner.commit(make_raised(str(number)), now_ns=time.time_ns())
                begun = time.monotonic()
                while len(good.requests) <= number and time.monotonic() - begun < 10:
                    time.sleep(0.02)
                waited.append(time.monotonic() - begun)
        finally:
            stop.set()
            running.join(10)
    assert not running.is_alive()
    assert max(waited) < 5
    assert bad.connections >= 1


def test_a_receiver_that_is_down_is_left_alone_for_a_while(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    Owner(store).commit(*(make_raised(str(number)) for number in range(20)), now_ns=START_NS)
    with receiver(temper.reset) as one:
        service = serving(one)
        service.run_once()
        assert one.connections == 3
        one.answer = temper.OK
        clock.pass_s(31)
        service.run_once()
    assert len(set(one.ids)) == 20
    assert [state for state, _ in _states(store)] == ["delivered"] * 20


def test_a_store_that_is_away_for_a_while_is_waited_for(store: sa.Engine, serving: Serving) -> None:
    stop = threading.Event()
    with receiver() as one:
        service = serving(one, clock_ns=time.time_ns)
        with writing(store) as connection:
            connection.execute(sa.text("alter table backwatch_event rename to backwatch_event_away"))
        running = threading.Thread(target=service.run, args=(stop,))
        running.start()
        time.sleep(1.2)
        with writing(store) as connection:
            connection.execute(sa.text("alter table backwatch_event_away rename to backwatch_event"))
        Owner(store).commit(make_raised(), now_ns=time.time_ns())
        begun = time.monotonic()
        while not one.requests and time.monotonic() - begun < 20:
            time.sleep(0.05)
        stop.set()
        running.join(10)
    assert len(one.requests) == 1


def test_the_jitter_only_ever_adds_a_tenth() -> None:
    assert [wait_ns(1, chance) for chance in (0.0, 0.5, 1.0)] == [5_000_000_000, 5_250_000_000, 5_500_000_000]
