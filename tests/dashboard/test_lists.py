"""Lists are complete: every row in the store can be reached, and missing data is marked."""

import time
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.dashboard.pages import alerts
from backwatch.store import tables
from backwatch.store.commit import AlertRound, SeenProcess
from backwatch.store.decisions import decide
from backwatch.store.transactions import writing
from tests.dashboard.scripts import forget, open_page, press, rows, store, texts
from tests.services.commits import Owner, alert_id, make_raised

__all__ = ("store",)

NUMBER = 2 * alerts.PAGE + 3


@pytest.fixture
def many(store: sa.Engine) -> sa.Engine:
    """More alerts than two pages hold."""
    Owner(store).commit(
        AlertRound(raised=[make_raised(f"k{number:03d}", at_ns=9_000 - number) for number in range(NUMBER)])
    )
    return store


def test_every_alert_can_be_reached(many: sa.Engine) -> None:
    script = open_page("alerts")
    newest = shown = [one["alert"] for one in rows(script, "alert")]
    for _ in range(2):
        press(script, "Older →")
        shown = shown + [one["alert"] for one in rows(script, "alert")]
    assert len(shown) == len(set(shown)) == NUMBER
    [older] = [one for one in script.button if one.label == "Older →"]
    assert older.disabled
    press(script, "Newest")
    assert [one["alert"] for one in rows(script, "alert")] == newest
    assert "after" not in script.query_params


def test_the_next_page_begins_after_the_last_alert_that_is_shown(many: sa.Engine) -> None:
    script = open_page("alerts", state="open")
    shown = [one["alert"] for one in rows(script, "alert")]
    for number in range(3):
        decide(many, alert_id("unusual-query", f"k{number:03d}"), "close", by="ann", now_ns=time.time_ns())
    forget()
    press(script, "Older →")
    following = [one["alert"] for one in rows(script, "alert")]
    script = open_page("alerts", state="open")
    whole = [one["alert"] for one in rows(script, "alert")]
    assert following[:1] == whole[whole.index(shown[-1]) + 1 :][:1]


def test_a_place_in_the_list_that_is_none_is_the_newest(many: sa.Engine) -> None:
    for place in ("x", "1.%27", "9" * 30 + ".a"):
        script = open_page("alerts", after=place)
        assert len(rows(script, "alert")) == alerts.PAGE
        assert "after" not in script.query_params
        assert list(script.exception) == []


def test_another_filter_begins_at_the_newest(many: sa.Engine) -> None:
    script = open_page("alerts")
    press(script, "Older →")
    script.text_input(key="q").set_value("k00").run()
    assert len(rows(script, "alert")) == 10
    assert "after" not in script.query_params


def test_app_without_resources_shows_a_notice(store: sa.Engine) -> None:
    Owner(store).commit(make_raised())
    script = open_page("resources", app="shop")
    assert "This app has no resource." in texts(script)
    assert "No app has been watched yet" not in texts(script)
    assert "No app has been watched yet" in texts(open_page("resources"))


def endpoint(engine: sa.Engine, name: str, disabled_ns: int | None, reason: str) -> None:
    row = {"name": name, "since_ns": 1, "paused_until_ns": 0, "disabled_ns": disabled_ns, "reason": reason}
    with writing(engine) as connection:
        connection.execute(sa.insert(tables.endpoint), [row])


def test_disabled_endpoint_is_shown_with_its_reason(store: sa.Engine) -> None:
    endpoint(store, "standard-webhook", 1_700_000_000 * 10**9, "it answered 410 \u202egone")
    endpoint(store, "another", None, "")
    script = open_page("overview")
    assert rows(script, "endpoint disabled") == [
        {"endpoint disabled": "standard-webhook", "reason": "it answered 410 \\u202egone",
         "since, UTC": "2023-11-14 22:13:20"}
    ]  # fmt: skip
    health = {one["what"]: one["now"] for one in rows(script, "what", "now")}
    assert health["deliveries failing"] == "endpoint disabled"


def test_undelivered_events_are_not_shown_as_missing_data(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised("delivery.expired", rule="telemetry-loss"), losses={"delivery.expired": 4})
    script = open_page("overview")
    assert list(script.warning) == []
    health = {one["what"]: one["now"] for one in rows(script, "what", "now")}
    assert (health["records lost"], health["deliveries lost"]) == ("nothing", "4")


def test_missing_data_notice_shows_while_its_alert_is_open(store: sa.Engine) -> None:
    owner = Owner(store)
    lost = make_raised("dropped.queue", rule="telemetry-loss", at_ns=time.time_ns())
    owner.commit(lost, losses={"dropped.queue": 7, "delivery.expired": 4})
    script = open_page("overview")
    assert [one.value for one in script.warning] == ["Records were lost: what is shown here may be incomplete."]
    assert rows(script, "lost") == [{"lost": "dropped.queue", "count": "7"}]
    script = open_page("alert", id=alert_id("telemetry-loss", "dropped.queue"))
    script.text_input(key="decide.by").set_value("ann")
    press(script, "Close")
    forget()
    assert list(open_page("overview").warning) == []


def test_processes_page_shows_missed_processes_first(store: sa.Engine) -> None:
    shared: dict[str, Any] = {
        "app": "shop", "host": "web-1\u202e", "parent": "", "since_ns": 1, "started_ns": 0, "first_ns": 2,
        "interval_ns": 15, "recorded": 12, "delivered": 9, "dropped": 3,
    }  # fmt: skip
    running = SeenProcess(instance="1" * 16, pid=5_432, state="running", heard_ns=time.time_ns(), **shared)
    mute = SeenProcess(instance="2" * 16, pid=5_433, state="undelivered", heard_ns=0, **shared)
    Owner(store).commit(processes=[running, mute])
    found = rows(open_page("processes"), "state")
    assert [(one["state"], one["process"], one["last heartbeat"] == "never") for one in found] == [
        ("● never delivered", "5433", True), ("○ running", "5432", False),
    ]  # fmt: skip
    assert found[0]["host"] == "web-1\\u202e"
