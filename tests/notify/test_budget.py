"""An endpoint's budget: a flood is few messages, each event is sent or counted, and criticals are never starved."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.notify.service import NotifyService
from backwatch.store import deliveries, health, tables
from backwatch.store.budget import DIGEST, MAX_LINES, EventBudget
from backwatch.store.decisions import decide
from backwatch.store.events import BODY_LIMIT
from backwatch.store.transactions import reading
from tests.notify.conftest import START_NS, Clock
from tests.services.commits import Owner, alert_id, make_cleared, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver

Serving = Callable[..., NotifyService]
PER_HOUR = 60


def bodies(one: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in one.requests]


def count_events(one: Receiver) -> int:
    """Events that were sent one by one or counted in a digest."""
    return sum(body["data"]["count"] if body["type"] == DIGEST else 1 for body in bodies(one))


@pytest.fixture
def owner(store: sa.Engine) -> Owner:
    return Owner(store)


@pytest.mark.parametrize("level", ["low", "high", "critical"])
def test_flood_is_at_most_sixty_messages_an_hour_that_count_all(
    owner: Owner, serving: Serving, clock: Clock, level: str
) -> None:
    sent: list[int] = []
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        for minute in range(125):
            if minute < 60:
                some = (make_raised(f"{minute}-{i}", level=level) for i in range(10))
                owner.commit(*some, now_ns=clock())
            service.run_once()
            sent.append(len(one.requests))
            clock.pass_s(60)
    hourly = [sent[at] - (sent[at - 60] if at >= 60 else 0) for at in range(len(sent))]
    assert max(hourly) <= PER_HOUR
    assert count_events(one) == 600
    assert len(set(one.ids)) == len(one.ids)


def test_one_resources_flood_leaves_room_for_another_and_for_what_is_high(owner: Owner, serving: Serving) -> None:
    flood = [make_raised(str(i), level="medium", resource_id="a" * 64) for i in range(500)]
    more = [make_raised(f"b{i}", level="medium", resource_id="b" * 64) for i in range(500)]
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        owner.commit(*flood, *more, now_ns=START_NS)
        service.run_once()
        assert len(one.requests) == PER_HOUR // 3
        owner.commit(make_raised("high", level="high", resource_id="c" * 64), now_ns=START_NS)
        service.run_once()
    assert bodies(one)[-1]["data"]["level"] == "high"


def test_first_critical_alert_of_a_rule_and_resource_is_immediate(owner: Owner, serving: Serving) -> None:
    flood = [make_raised(str(i), level="critical", resource_id="a" * 64) for i in range(500)]
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        owner.commit(*flood, now_ns=START_NS)
        service.run_once()
        before = len(one.requests)
        owner.commit(make_raised("x", level="critical", resource_id="b" * 64), now_ns=START_NS)
        owner.commit(make_raised("y", rule="query-attack", level="critical", resource_id="a" * 64), now_ns=START_NS)
        service.run_once()
    assert before <= PER_HOUR // 2
    assert {body["data"]["key"] for body in bodies(one)[before:]} == {"x", "y"}


def test_critical_events_beyond_the_budget_are_in_a_digest_at_once(owner: Owner, serving: Serving) -> None:
    owner.commit(*(make_raised(str(i), level="critical") for i in range(100)), now_ns=START_NS)
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
    digests = [body for body in bodies(one) if body["type"] == DIGEST]
    assert [body["data"]["level"] for body in digests] == ["critical"]
    assert count_events(one) == 100


def test_digest_names_rules_levels_resources_and_never_changes(
    store: sa.Engine, owner: Owner, serving: Serving, clock: Clock
) -> None:
    owner.commit(*(make_raised(str(i), level="low") for i in range(100)), now_ns=START_NS)
    owner.commit(*(make_cleared(str(i)) for i in range(5)), now_ns=START_NS)
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
        clock.pass_s(EventBudget(PER_HOUR).between_digests_ns / 1e9 + 1)
        one.answer = temper.status("500 No")
        service.run_once()
        clock.pass_s(6)
        one.answer = temper.OK
        service.run_once()
    first, again = one.requests[-2:]
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    data = json.loads(again.body)["data"]
    assert (data["count"], data["level"]) == (90, "low")
    assert {"rule": "unusual-query", "level": "low", "type": "alert.opened", "count": 85} in data["rules"]
    assert data["resources"] == [{"app": "shop", "resource": "postgresql db:5432/shop", "level": "low", "count": 90}]
    assert data["title"].startswith("90 more alert events: 85 of unusual-query (low)")
    with reading(store) as connection:
        assert health.health(connection).counters["delivery.digested"] == 90


def test_a_digest_stays_within_the_limit_of_a_body(owner: Owner, serving: Serving, clock: Clock) -> None:
    ugly = "\U0001f4a9" * 400
    some = [make_raised(str(i), rule=f"rule{i}", level="low", app=ugly, resource=f"{i}{ugly}") for i in range(200)]
    owner.commit(*some, now_ns=START_NS)
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
        clock.pass_s(3_600)
        service.run_once()
    digest = next(request for request in one.requests if DIGEST.encode() in request.body)
    assert len(digest.body) <= BODY_LIMIT
    assert len(json.loads(digest.body)["data"]["rules"]) <= MAX_LINES


def test_what_is_muted_in_the_meantime_is_in_no_digest(
    store: sa.Engine, owner: Owner, serving: Serving, clock: Clock
) -> None:
    owner.commit(*(make_raised(str(i), level="low") for i in range(50)), now_ns=START_NS)
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
        for i in range(50):
            decide(store, alert_id("unusual-query", str(i)), "mute", by="me", now_ns=START_NS)
        clock.pass_s(3_600)
        service.run_once()
    assert all(body["type"] != DIGEST for body in bodies(one))
    with reading(store) as connection:
        states = Counter(connection.scalars(sa.select(tables.delivery.c.state)))
    assert states == {"delivered": 15, "muted": 35}


def test_notifiers_that_share_an_endpoint_share_its_budget(owner: Owner, serving: Serving) -> None:
    owner.commit(*(make_raised(str(i), level="high", resource_id=f"{i % 9}" * 64) for i in range(900)), now_ns=START_NS)
    with receiver() as one:
        services = [serving(one, events_per_hour=PER_HOUR, timeout_s=30) for _ in range(3)]
        threads = [threading.Thread(target=service.run_once) for service in services]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(one.ids) == PER_HOUR // 2
    assert len(set(one.ids)) == PER_HOUR // 2


def test_what_is_held_for_an_endpoint_that_goes_away_is_a_loss(
    store: sa.Engine, owner: Owner, serving: Serving
) -> None:
    owner.commit(*(make_raised(str(i), level="low") for i in range(100)), now_ns=START_NS)
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
        owner.commit(make_raised("gone", level="high", resource_id="b" * 64), now_ns=START_NS)
        one.answer = temper.status("410 Gone")
        service.run_once()
    with reading(store) as connection:
        assert health.health(connection).losses == {"delivery.disabled": 86}


def test_a_new_endpoint_gets_no_digest_that_is_anothers(owner: Owner, serving: Serving, clock: Clock) -> None:
    owner.commit(*(make_raised(str(i), level="low") for i in range(100)), now_ns=START_NS)
    with receiver() as one, receiver() as another:
        service = serving(one, events_per_hour=PER_HOUR)
        service.run_once()
        clock.pass_s(400)
        service.run_once()
        both = serving(one, another, events_per_hour=PER_HOUR)
        both.run_once()
        clock.pass_s(400)
        both.run_once()
    assert count_events(one) == count_events(another) == 100
    assert not set(one.ids[-1:]) & set(another.ids)


@pytest.mark.parametrize("seed", range(3))
def test_every_event_is_sent_once_or_counted_once(
    store: sa.Engine, owner: Owner, serving: Serving, clock: Clock, seed: int
) -> None:
    source, total = random.Random(seed), 0
    with receiver() as one:
        service = serving(one, events_per_hour=PER_HOUR)
        for turn in range(40):
            for i in range(source.choice([0, 1, 3, 40])):
                level = source.choice(["low", "medium", "high", "critical"])
                owner.commit(make_raised(f"{turn}-{i}", level=level, resource_id=f"{source.randrange(4)}" * 64),
                             now_ns=clock())  # fmt: skip
                total += 1
            service.run_once()
            clock.pass_s(source.choice([1, 60, 900]))
        for _ in range(12):
            clock.pass_s(400)
            service.run_once()
    assert count_events(one) == total
    with reading(store) as connection:
        states = set(connection.scalars(sa.select(tables.delivery.c.state)))
    assert states <= {deliveries.DELIVERED, deliveries.DIGESTED}
