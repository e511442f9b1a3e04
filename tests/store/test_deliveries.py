"""The outbox: what a lease costs, who may pause, and who may disable."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event as happening

from backwatch.store import deliveries, queries, tables
from backwatch.store.decisions import decide
from backwatch.store.transactions import reading, writing
from tests.services.commits import Owner, alert_id, make_raised

SECOND_NS = 1_000_000_000
NOW_NS = 1_700_000_000 * SECOND_NS
MUTED = alert_id("unusual-query", "muted")
HEARD = alert_id("unusual-query", "heard")


@pytest.fixture
def waiting(store: sa.Engine) -> Callable[[int, str], None]:
    """``waiting(count, alert)``: so many more deliveries to the endpoint ``e`` about that alert, behind the others."""
    Owner(store).commit(make_raised("muted"), make_raised("heard"), now_ns=NOW_NS)
    decide(store, MUTED, "mute", by="ann", now_ns=NOW_NS)
    deliveries.register(store, "e", 0)
    made = 0

    def make(count: int, alert: str) -> None:
        nonlocal made
        about = {"episode": 1, "kind": "alert.opened", "level_rank": 3, "body": "{}", "routed_ns": NOW_NS}
        new = {
            "endpoint": "e", "state": "pending", "body": b"{}", "attempts": 0, "created_ns": NOW_NS,
            "first_try_ns": None, "locked_until_ns": 0, "done_ns": None, "outcome": "",
        }  # fmt: skip
        ids = [f"{number:032x}" for number in range(made, made + count)]
        events = [{**about, "id": one, "alert_id": alert, "created_ns": NOW_NS} for one in ids]
        with writing(store) as connection:
            connection.execute(sa.insert(tables.event), events)
            rows = [{**new, "event_id": one, "next_ns": NOW_NS + int(one, 16) // 500} for one in ids]
            connection.execute(sa.insert(tables.delivery), rows)
        made += count
        if store.dialect.name == "postgresql":  # what autovacuum does by itself
            with store.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("analyze")

    return make


def _lease(store: sa.Engine, after_s: float = 1, lease_s: float = 60) -> deliveries.Leased | None:
    now_ns = NOW_NS + int(after_s * SECOND_NS)
    return deliveries.lease(store, "e", now_ns=now_ns, lease_ns=int(lease_s * SECOND_NS))


def _cost(store: sa.Engine, work: Callable[[], object]) -> int:
    """Steps of SQLite's machine in tens, or rows that PostgreSQL looked at."""
    cost = 0

    def step() -> int:
        nonlocal cost
        cost += 1
        return 0

    def looked_at(connection: sa.Connection) -> int:
        query = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables"
        return int(connection.exec_driver_sql(query).scalar_one())

    def begun(connection: sa.Connection) -> None:
        nonlocal cost
        if connection.dialect.name == "sqlite":
            raw: Any = connection.connection.dbapi_connection
            raw.set_progress_handler(step, 10)
        else:
            cost -= looked_at(connection)  # by transactions before, and not in its statistics yet

    def ended(connection: sa.Connection) -> None:
        nonlocal cost
        if connection.dialect.name == "sqlite":
            raw: Any = connection.connection.dbapi_connection
            raw.set_progress_handler(None, 10)
        else:
            cost += looked_at(connection)

    happening.listen(store, "begin", begun)
    happening.listen(store, "commit", ended)
    work()
    happening.remove(store, "begin", begun)
    happening.remove(store, "commit", ended)
    return cost


def test_a_lease_costs_the_same_however_many_wait(store: sa.Engine, waiting: Callable[[int, str], None]) -> None:
    waiting(20, HEARD)
    few = _cost(store, lambda: _lease(store))
    waiting(4_000, HEARD)
    many = _cost(store, lambda: _lease(store))
    assert few > 0
    assert many < 3 * few + 20


def test_lease_skips_muted_deliveries_in_bounded_transactions(
    store: sa.Engine, waiting: Callable[[int, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_MUTED_AT_ONCE", 10)
    waiting(45, MUTED)
    waiting(1, HEARD)
    waiting(45, MUTED)
    transactions: list[object] = []
    happening.listen(store, "commit", transactions.append)
    leased = _lease(store)
    assert leased is not None
    assert (leased.event_id, leased.attempt) == (f"{45:032x}", 1)
    assert _lease(store) is None
    assert len(transactions) >= 10
    with reading(store) as connection:
        states = connection.scalars(sa.select(tables.delivery.c.state)).all()
        assert (states.count("muted"), states.count("pending")) == (90, 1)
        assert queries.health(connection).losses == {}


def test_a_shorter_pause_does_not_end_a_longer_one(store: sa.Engine, waiting: Callable[[int, str], None]) -> None:
    waiting(1, HEARD)
    deliveries.pause(store, "e", NOW_NS + 3_600 * SECOND_NS)
    deliveries.pause(store, "e", NOW_NS + 30 * SECOND_NS)
    assert _lease(store, after_s=3_599) is None
    assert _lease(store, after_s=3_601) is not None


def test_late_410_of_an_attempt_taken_over_disables_nothing(
    store: sa.Engine, waiting: Callable[[int, str], None]
) -> None:
    waiting(1, HEARD)
    late = _lease(store, after_s=1, lease_s=10)
    holder = _lease(store, after_s=20, lease_s=60)
    waiting(1, HEARD)
    assert late is not None
    assert holder is not None
    assert (holder.event_id, holder.attempt) == (late.event_id, 2)
    deliveries.disable(store, late, now_ns=NOW_NS + 21 * SECOND_NS, reason="HTTP 410")
    with reading(store) as connection:
        assert deliveries.get_standing(connection, "e", now_ns=NOW_NS).disabled is None
        assert queries.health(connection).losses == {}
    deliveries.disable(store, holder, now_ns=NOW_NS + 22 * SECOND_NS, reason="HTTP 410")
    with reading(store) as connection:
        assert deliveries.get_standing(connection, "e", now_ns=NOW_NS).disabled == "HTTP 410"
        assert queries.health(connection).losses == {"delivery.disabled": 2}
