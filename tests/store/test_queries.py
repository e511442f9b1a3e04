"""What dashboard and command line read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from backwatch.store import inventory, queries, tables
from backwatch.store.commit import ResourceActivity, Rollup
from backwatch.store.decisions import decide
from backwatch.store.prune import DAY_NS, prune
from backwatch.store.transactions import reading, writing
from backwatch.store.views import AlertFilter, EndpointRow
from tests.services.commits import Owner, alert_id, make_cleared, make_raised


def _keys(store: sa.Engine, **filters: object) -> list[str]:
    with reading(store) as connection:
        return sorted(row.key for row in queries.list_alerts(connection, AlertFilter(**filters), now_ns=100).rows)  # type: ignore[arg-type]


@pytest.fixture
def filled(store: sa.Engine) -> sa.Engine:
    """Alerts in every state."""
    Owner(store).commit(
        make_raised("open 50%"), make_raised("acknowledged", level="low"), make_raised("closed", app="mail"),
        make_raised("muted"),
        make_raised("cleared", rule="bulk-read"), make_raised("other_resource", resource_id="r2"),
        make_cleared("cleared", rule="bulk-read"),
    )  # fmt: skip
    for kind in ("acknowledge", "close", "mute"):
        key = {"acknowledge": "acknowledged", "close": "closed", "mute": "muted"}[kind]
        decide(store, alert_id("unusual-query", key), kind, by="ann", now_ns=50)
    return store


def test_filters_find_by_state_level_rule_app_resource_and_text(filled: sa.Engine) -> None:
    assert _keys(filled, states=["open"]) == ["open 50%", "other_resource"]
    assert _keys(filled, states=["closed"]) == ["cleared", "closed"]
    assert _keys(filled, states=["acknowledged", "muted"]) == ["acknowledged", "muted"]
    assert _keys(filled, levels=["low"]) == ["acknowledged"]
    assert _keys(filled, rules=["bulk-read"]) == ["cleared"]
    assert _keys(filled, apps=["mail"]) == ["closed"]
    assert _keys(filled, resource_id="r2") == ["other_resource"]
    assert _keys(filled, text="BULK") == ["cleared"]
    assert _keys(filled, text="0%") == ["open 50%"]
    assert _keys(filled, text="r_r") == ["other_resource"]
    assert _keys(filled, text="'; drop table alert; --\x00") == []


def test_every_alert_is_counted_once_by_state_and_level(filled: sa.Engine) -> None:
    with reading(filled) as connection:
        counts = queries.overview(connection, now_ns=100)
    assert {state: sum(levels.values()) for state, levels in counts.items()} == {
        "open": 2,
        "acknowledged": 1,
        "closed": 2,
        "muted": 1,
    }
    assert counts["acknowledged"]["low"] == 1


def test_pages_hold_every_alert_once_and_none_twice(store: sa.Engine) -> None:
    Owner(store).commit(*(make_raised(str(number), at_ns=number // 3 + 10) for number in range(25)))
    got: list[str] = []
    cursor = None
    with reading(store) as connection:
        while True:
            page = queries.list_alerts(connection, limit=4, cursor=cursor)
            got += [row.key for row in page.rows]
            cursor = page.cursor
            if cursor is None:
                break
    assert sorted(map(str, range(25))) == sorted(got)


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.", ".a", "1.%27", "9" * 30 + ".a"])
def test_foreign_cursor_is_refused(store: sa.Engine, cursor: str) -> None:
    with reading(store) as connection, pytest.raises(ValueError, match="not a cursor"):
        queries.list_alerts(connection, cursor=cursor)


def test_openings_are_counted_by_hour_and_level(store: sa.Engine) -> None:
    hour = queries.HOUR_NS
    Owner(store).commit(
        make_raised("a", at_ns=hour + 1), make_raised("b", at_ns=hour + 2),
        make_raised("c", at_ns=hour + 3, level="low"),
        make_cleared("a", at_ns=2 * hour), make_raised("a", at_ns=3 * hour),
    )  # fmt: skip
    with reading(store) as connection:
        assert [(hour, "high", 2), (hour, "low", 1), (3 * hour, "high", 1)] == queries.histogram(
            connection, 0, 9 * hour
        )
        assert [(3 * hour, "high", 1)] == queries.histogram(connection, 2 * hour, 9 * hour)


def test_resource_lists_the_number_and_worst_of_open_alerts(filled: sa.Engine) -> None:
    text = {"app": "shop", "system": "redis", "endpoint": "c:6379", "namespace": "0"}
    seen = [ResourceActivity(resource_id="r2", first_ns=1, last_ns=2, calls=1, errors=0, facts={}, **text)]
    Owner(filled, 1).commit(seen=seen)
    with reading(filled) as connection:
        resource = queries.get_resource(connection, "r2", now_ns=100)
        assert queries.get_resource(connection, "\x00") is None
        assert queries.apps(connection) == ["mail", "shop"]
        assert queries.list_resources(connection, app="mail") == []
    assert resource is not None
    assert (resource.alerts, resource.worst) == (1, "high")


def test_truncated_resource_list_keeps_alerting_and_newest_ones(
    filled: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "_LIMIT", 3)
    text = {"app": "shop", "system": "http", "namespace": ""}
    hosts = [
        ResourceActivity(
            resource_id=f"h{i}", first_ns=1, last_ns=i, calls=1, errors=0, facts={}, endpoint=f"a{i}:443", **text
        )
        for i in range(10, 30)
    ]
    alerted = replace(hosts[0], resource_id="r2", system="redis", endpoint="c:6379", first_ns=1, last_ns=2)
    Owner(filled, 1).commit(seen=[*hosts, alerted])
    with reading(filled) as connection:
        assert [one.id for one in queries.list_resources(connection, now_ns=100)] == ["h28", "h29", "r2"]


def plans(engine: sa.Engine, connection: sa.Connection, read: Callable[[sa.Connection], object]) -> list[str]:
    """How SQLite answers what a read asks."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    event.listen(engine, "before_cursor_execute", note)
    read(connection)
    event.remove(engine, "before_cursor_execute", note)
    return [
        row[3]
        for statement, values in asked
        for row in connection.exec_driver_sql(f"explain query plan {statement}", values)
    ]


def test_one_resource_is_read_without_looking_at_the_alerts_of_others(filled: sa.Engine) -> None:
    if filled.dialect.name != "sqlite":
        pytest.skip("plans are read in SQLite's words")
    with reading(filled) as connection:
        found = plans(filled, connection, lambda one: queries.get_resource(one, "r2"))
    assert [one for one in found if " backwatch_alert " in one] == [
        "SEARCH backwatch_alert USING INDEX ix_backwatch_alert_resource_id (resource_id=?)"
    ]


@pytest.mark.parametrize("read", [
    queries.overview, queries.open_by_rule, queries.apps, lambda one: queries.histogram(one, 1, 9),
])  # fmt: skip
def test_what_an_open_page_counts_is_counted_without_reading_an_alert(
    filled: sa.Engine, read: Callable[[sa.Connection], object]
) -> None:
    if filled.dialect.name != "sqlite":
        pytest.skip("plans are read in SQLite's words")
    with reading(filled) as connection:
        found = plans(filled, connection, read)
    of_alerts = [one for one in found if "alert" in one or "episode" in one]
    assert of_alerts
    assert [one for one in of_alerts if "USING COVERING INDEX" not in one] == []


def test_deliveries_are_counted_without_reading_those_that_are_done(filled: sa.Engine) -> None:
    states = ["delivered"] * 4 + ["rejected", "expired", "muted", "pending", "pending"]
    blank = {"body": b"", "created_ns": 1, "first_try_ns": None, "next_ns": 1, "locked_until_ns": 0, "done_ns": None}
    rows = [
        {"event_id": f"e{at}", "endpoint": "a", "state": state, "attempts": at % 2, "outcome": "", **blank}
        for at, state in enumerate(states)
    ]
    opened = {"alert_id": "a", "episode": 1, "kind": "alert.opened", "level_rank": 1, "body": "{}", "created_ns": 1}
    with writing(filled) as connection:
        connection.execute(sa.insert(tables.event), [{"id": f"e{at}", **opened} for at in range(len(states))])
        ends = [{"name": name, "since_ns": 1, "paused_until_ns": 0, "reason": ""} for name in ("a", "b")]
        connection.execute(sa.insert(tables.endpoint), ends)
        connection.execute(sa.insert(tables.delivery), rows)
    with reading(filled) as connection:
        found = queries.health(connection).endpoints
        plans_used = plans(filled, connection, queries.health) if filled.dialect.name == "sqlite" else []
    zero = EndpointRow(name="b", pending=0, failing=0, delivered=0, lost=0, disabled_ns=None, reason="")
    assert found == [replace(zero, name="a", pending=2, failing=1, delivered=4, lost=2), zero]
    index = "ix_backwatch_delivery_endpoint_state_level_rank_next_ns"
    assert not [one for one in plans_used if " backwatch_delivery " in one and index not in one]
    assert not [one for one in plans_used if index in one and "COVERING" not in one and "state=?" not in one]


def test_old_rows_are_pruned_except_raised_alerts_and_decisions(filled: sa.Engine) -> None:
    zero = dict.fromkeys(("errors", "suspects", "bytes_sent", "bytes_received", "rows_returned", "rows_affected",
                          "duration_ns", "new_statements"), 0)  # fmt: skip
    late = 500 * DAY_NS
    windows = [Rollup(resource_id="r", end_ns=end_ns, calls=1, **zero) for end_ns in (1, late)]
    Owner(filled, 1).commit(rollups=windows)
    removed = prune(filled, late)
    assert removed == {"rollup": 1, "event": 7, "quarantine": 0, "alert": 1, "process": 0,
                       "partition_progress": 0, "resource": 0}  # fmt: skip
    assert "cleared" not in _keys(filled)
    assert len(_keys(filled)) == 5
    with reading(filled) as connection:
        assert queries.health(connection).last_entry == 3


def test_a_reader_does_not_wait_for_a_writer(filled: sa.Engine) -> None:
    with writing(filled) as connection:
        connection.execute(sa.text("update backwatch_alert set count = 99"))
        with reading(filled) as other:
            assert 99 not in {row.count for row in queries.list_alerts(other).rows}
