"""Reads of the pages: shared by all, never older than the last decision, and in whole hours."""

import time

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from backwatch.dashboard import reads, safe
from backwatch.dashboard.pages import processes
from backwatch.detector.presence import processes as engine_processes
from backwatch.store import processes as store_processes
from backwatch.store import tables
from backwatch.store.commit import AlertRound, ResourceActivity, SeenProcess
from backwatch.store.connect import StoreUnavailable
from tests.dashboard.scripts import open_page, press, rows, store, texts
from tests.services.commits import Owner, alert_id, make_raised

__all__ = ("store",)

ID = alert_id("unusual-query", "k")


def resources(number: int) -> list[ResourceActivity]:
    return [
        ResourceActivity(
            resource_id=f"{one:064x}", app="shop", system="redis", endpoint=f"c{one}:6379", namespace="0", first_ns=1,
            last_ns=2, calls=1, errors=0, facts={},
        )
        for one in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("page", ["overview", "alerts", "alert", "resources", "rules"])
def test_two_open_pages_share_one_store_query(store: sa.Engine, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr(reads._query._info, "ttl", 600)
    reads._query.clear()
    Owner(store).commit(make_raised(), seen=resources(3))
    asked: list[str] = []
    open_page(page, id=ID)
    event.listen(reads._store(), "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    open_page(page, id=ID)
    assert asked == []


def test_decision_shows_at_once_despite_cached_queries(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads._query._info, "ttl", 600)
    reads._query.clear()
    Owner(store).commit(make_raised())
    script = open_page("alert", id=ID)
    script.text_input(key="decide.by").set_value("ann")
    press(script, "Close")
    [decision] = rows(script, "time, UTC", "decision")
    assert decision["decision"] == "close"
    assert [one["state"] for one in rows(open_page("alerts"), "alert", "level")] == ["○ closed"]


def test_single_open_page_queries_the_store_at_each_refresh(store: sa.Engine) -> None:
    asked: list[float] = []

    def now() -> int:
        asked.append(time.monotonic())
        return len(asked)

    read = reads._share_result(now)
    for refresh in range(1, 4):
        begin = time.monotonic()
        assert read() == refresh
        assert read() == refresh  # another page, at the same time
        time.sleep(max(0.0, reads.REFRESH_S - 0.1 - (time.monotonic() - begin)))  # browsers are never quite in time


def test_unavailable_store_is_queried_once_for_all_pages(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def away() -> None:
        asked.append(1)
        raise StoreUnavailable("BACKWATCH_STORE_URL='x': refused")

    read = reads._share_result(away)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="refused"):
            read()
    assert asked == [1]


def test_openings_begin_with_a_whole_hour(store: sa.Engine) -> None:
    hour_ns = time.time_ns() // reads.HOUR_NS * reads.HOUR_NS
    first_ns = hour_ns - 47 * reads.HOUR_NS
    early, late = make_raised("early", at_ns=first_ns - 1), make_raised("late", at_ns=first_ns)
    Owner(store).commit(AlertRound(raised=[early, late, make_raised("now", at_ns=hour_ns + 1)]))
    assert [start for start, _, _ in reads.openings(hour_ns, 48)] == [first_ns, hour_ns]


@pytest.mark.parametrize(("number", "styled"), [(safe.COLOURED, True), (safe.COLOURED + 1, False)])
def test_a_table_of_many_rows_is_not_styled(store: sa.Engine, number: int, styled: bool) -> None:
    Owner(store).commit(seen=resources(number))
    [table] = open_page("resources").dataframe
    assert len(table.value) == number
    assert table.proto.arrow_data.HasField("styler") is styled


def test_kinds_of_services_are_those_in_the_store(store: sa.Engine) -> None:
    Owner(store).commit(seen=resources(2))
    statements: list[str] = []
    event.listen(reads._store(), "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert reads.systems() == {"redis"}
    assert not [one for one in statements if tables.resource.c.facts.name in one]


def test_every_state_of_a_process_has_words_of_its_own() -> None:
    states = {*engine_processes.RAISED, *engine_processes.KNOWN, engine_processes.ENDED, engine_processes.UNFOLLOWED}
    assert states == set(processes.STATES)
    assert engine_processes.UNFOLLOWED == store_processes.UNFOLLOWED


def test_processes_that_are_not_followed_any_more_are_shown_as_such(store: sa.Engine) -> None:
    now_ns = time.time_ns()
    hour_ns = 3_600 * 10**9
    Owner(store).commit(processes=[
        SeenProcess(
            instance=f"{i:016x}", app="shop", host="a", pid=i, parent="", state=state, since_ns=heard_ns,
            started_ns=heard_ns, first_ns=heard_ns, heard_ns=heard_ns, interval_ns=15 * 10**9, recorded=1, delivered=1,
            dropped=0,
        )
        for i, (state, heard_ns) in enumerate((
            ("running", now_ns), ("running", now_ns - hour_ns), ("unfollowed", now_ns), ("silent", now_ns - hour_ns),
        ))
    ])  # fmt: skip
    page = open_page("processes")
    shown = {row["process"]: row["state"] for row in rows(page, "state", "app", "host", "process")}
    assert shown == {"0": "○ running", "1": "◌ not followed", "2": "◌ not followed", "3": "● silent"}
    assert "2 of all processes are not followed any more" in texts(page)
