"""Which endpoints receive which alerts: new ones, corrected ones, those of one notifier, and those without one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.notify.service import NotifyService, RoundCounts
from backwatch.store import deliveries, entries, queries, tables
from backwatch.store.decisions import decide
from backwatch.store.events import event_id
from backwatch.store.prune import DAY_NS, prune
from backwatch.store.transactions import reading
from tests.notify.conftest import START_NS, Clock
from tests.services.commits import Owner, alert_id, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import receiver

Serving = Callable[..., NotifyService]
HOUR_S = 3_600
HOUR_NS = HOUR_S * 1_000_000_000


def _list_opened(*keys: str) -> list[str]:
    return sorted(event_id(alert_id("unusual-query", key), 1, 1_000, "alert.opened") for key in keys)


def _losses(store: sa.Engine) -> dict[str, int]:
    with reading(store) as connection:
        return dict(queries.health(connection).losses)


def test_corrected_endpoint_receives_once_what_the_wrong_one_refused(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    Owner(store).commit(make_raised("a"), make_raised("b"), now_ns=START_NS)
    with receiver(temper.status("404 Where")) as wrong, receiver() as right:
        serving(wrong).run_once()
        clock.pass_s(HOUR_S)
        serving(right).run_once()
        serving(right).run_once()
        assert sorted(right.ids) == _list_opened("a", "b")


def test_first_output_receives_what_was_raised_without_any(store: sa.Engine, serving: Serving) -> None:
    owner = Owner(store)
    owner.commit(make_raised("old"), now_ns=START_NS - 7 * HOUR_NS)
    owner.commit(make_raised("new"), now_ns=START_NS)
    assert serving().run_once() == RoundCounts(routed=0, delivered=0, failed=0)
    with receiver() as one:
        serving(one).run_once()
        assert one.ids == _list_opened("new")


def test_added_endpoint_receives_nothing_too_old_too_low_or_muted(store: sa.Engine, serving: Serving) -> None:
    owner = Owner(store)
    with receiver() as first, receiver() as added:
        owner.commit(make_raised("old", level="critical"), now_ns=START_NS - 7 * HOUR_NS)
        deliveries.register(store, serving(first).workers[0].output.endpoint, 0)
        owner.commit(
            make_raised("low", level="low"),
            make_raised("high"),
            make_raised("muted", level="critical"),
            now_ns=START_NS,
        )
        serving(first).run_once()
        decide(store, alert_id("unusual-query", "muted"), "mute", by="ann", now_ns=START_NS)
        serving(first, added, minimum_level="high").run_once()
        assert sorted(first.ids) == _list_opened("old", "low", "high", "muted")
        assert added.ids == _list_opened("high")
    assert _losses(store) == {}


def test_an_endpoint_that_another_notifier_does_not_know_misses_nothing(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    owner = Owner(store)
    with receiver() as mine, receiver() as others:
        one, another = serving(mine), serving(others)
        one.run_once()
        another.run_once()
        for key in ("a", "b", "c"):
            owner.commit(make_raised(key), now_ns=clock())
            one.run_once()  # routes it, and knows its own endpoint alone
            clock.pass_s(11)
            for _ in range(2):
                another.workers[0].deliver_due()
        assert sorted(mine.ids) == _list_opened("a", "b", "c")
        assert sorted(others.ids) == _list_opened("a", "b", "c")


def test_notifiers_that_learn_of_an_endpoint_at_once_send_it_nothing_twice(store: sa.Engine, serving: Serving) -> None:
    keys = [str(number) for number in range(20)]
    Owner(store).commit(*(make_raised(key) for key in keys), now_ns=START_NS)
    with receiver() as old, receiver() as new:
        serving(old).run_once()
        services = [serving(old, new, timeout_s=30) for _ in range(3)]
        threads = [threading.Thread(target=service.run_once) for service in services]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(old.ids) == _list_opened(*keys)
        assert sorted(new.ids) == _list_opened(*keys)


def test_backfill_of_a_new_endpoint_continues_after_a_death(
    store: sa.Engine, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    Owner(store).commit(*(make_raised(key) for key in "abcde"), now_ns=START_NS)
    real, left = deliveries._insert, [1]

    def dies(*arguments: Any) -> None:
        if not left:
            raise RuntimeError("as if killed")
        left.pop()
        real(*arguments)

    with receiver() as old, receiver() as new:
        serving(old).run_once()
        monkeypatch.setattr(deliveries, "_BITE", 2)
        monkeypatch.setattr(deliveries, "_insert", dies)
        with pytest.raises(RuntimeError, match="as if killed"):
            serving(new).run_once()
        monkeypatch.setattr(deliveries, "_insert", real)
        serving(new).run_once()
        assert sorted(new.ids) == _list_opened(*"abcde")


def test_deliveries_of_an_unserved_endpoint_are_given_up_and_counted(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    Owner(store).commit(make_raised("a"), make_raised("b"), now_ns=START_NS)
    with receiver(temper.status("404 Where")) as wrong, receiver() as right:
        serving(wrong).run_once()
        clock.pass_s(5 * HOUR_S)
        serving(right).run_once()
        assert _losses(store) == {}
        clock.pass_s(2 * HOUR_S)
        serving(right).run_once()
        serving(right).run_once()
    assert _losses(store) == {"delivery.expired": 2}
    with reading(store) as connection:
        assert [entry.kind for entry in entries.after(connection, 0)] == ["loss"]
        assert "pending" not in connection.scalars(sa.select(tables.delivery.c.state)).all()
    assert prune(store, clock() + 31 * DAY_NS)["event"] == 2


def test_deliveries_of_another_living_notifier_are_not_given_up(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    Owner(store).commit(make_raised("a"), make_raised("b"), now_ns=START_NS)
    with receiver(temper.status("429 Much", "Retry-After: 80000")) as busy, receiver() as other:
        other_service, service = serving(busy, give_up_after_s=20 * HOUR_S), serving(other, give_up_after_s=HOUR_S)
        other_service.run_once()
        for _ in range(6):
            clock.pass_s(HOUR_S / 2)
            other_service.workers[0].deliver_due()
            service.run_once()
    assert _losses(store) == {}
