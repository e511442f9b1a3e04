"""The commit of a shard: fenced, whole or not at all, and everything it brings is there afterwards."""

import hashlib
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backwatch.store import queries, shards, tables
from backwatch.store.commit import Fenced, Occurrence, QuarantinedRecord, ResourceActivity, Rollup
from backwatch.store.transactions import reading, writing
from tests.services.commits import Owner, alert_id, commit, make_cleared, make_raised


def test_a_shard_never_seen_starts_at_commit_0_without_state(store: sa.Engine) -> None:
    assert (
        shards.ShardState(seq=0, next_offset=0, watermark_ns=0, entry_id=0, snapshot=None, deltas=[])
        == Owner(store).state
    )


def test_a_shard_goes_on_from_its_deltas_in_their_order(store: sa.Engine) -> None:
    owner = Owner(store)
    for blob in (b"one", b"two", b"three"):
        owner.commit(delta=blob, next_offset=7, watermark_ns=8, entry_id=9)
    expected = shards.ShardState(
        seq=3, next_offset=7, watermark_ns=8, entry_id=9, snapshot=None, deltas=[b"one", b"two", b"three"]
    )
    assert expected == Owner(store).state


def test_owner_of_a_lost_history_is_fenced_where_the_numbers_meet_again(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(delta=b"common", next_offset=10)
    lost = replace(commit(3, delta=b"lost"), base=(40, 2, 0))  # three commits, the last two of which a failover lost
    for offset in (20, 30):
        owner.commit(delta=b"again", next_offset=offset)
    assert owner.seq == lost.seq
    with pytest.raises(Fenced):
        shards.commit(store, lost, now_ns=1)
    shards.commit(store, replace(lost, base=(30, 2, 0)), now_ns=1)


def test_a_snapshot_replaces_the_deltas_before_it(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(delta=b"old")
    owner.commit(snapshot=b"whole")
    owner.commit(delta=b"new")
    state = Owner(store).state
    assert (state.snapshot, state.deltas) == (b"whole", [b"new"])


def test_later_of_two_owners_is_fenced_and_changes_nothing(store: sa.Engine) -> None:
    first, second = Owner(store), Owner(store)
    first.commit(make_raised("a"), delta=b"first")
    with pytest.raises(Fenced, match="shard 0 is no longer at commit 0"):
        second.commit(make_raised("b"), delta=b"second", losses={"gap": 1})
    with reading(store) as connection:
        assert [row.key for row in queries.list_alerts(connection).rows] == ["a"]
        assert queries.health(connection).losses == {}
    assert Owner(store).state.deltas == [b"first"]


@pytest.mark.parametrize("what", ["tick", "decision"])
def test_a_commit_that_moves_no_offset_is_fenced_too(store: sa.Engine, what: str) -> None:
    first, second = Owner(store), Owner(store)
    moved = {"watermark_ns": 5} if what == "tick" else {"entry_id": 1}
    first.commit(next_offset=0, **moved)
    with pytest.raises(Fenced):
        second.commit(next_offset=0, **moved)


def test_of_many_owners_at_once_exactly_one_commits(store: sa.Engine) -> None:
    owners = [Owner(store) for _ in range(6)]
    outcomes: list[str] = []

    def try_it(number: int, owner: Owner) -> None:
        try:
            owner.commit(make_raised(str(number)))
            outcomes.append("committed")
        except Fenced:
            outcomes.append("fenced")

    threads = [threading.Thread(target=try_it, args=pair) for pair in enumerate(owners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["committed", *["fenced"] * 5] == sorted(outcomes)


def test_shards_that_share_an_alert_commit_concurrently_without_deadlock(store: sa.Engine) -> None:
    keys = [f"k{number}" for number in range(40)]
    owners = [Owner(store, shard) for shard in range(4)]
    failures: list[BaseException] = []

    def work(owner: Owner) -> None:
        try:
            for turn in range(5):
                ordered = keys if (owner.shard + turn) % 2 else keys[::-1]
                owner.commit(*(make_raised(key, at_ns=turn + 1) for key in ordered))
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with reading(store) as connection:
        assert [row.count for row in queries.list_alerts(connection, limit=500).rows] == [20] * 40


def test_the_newest_50_occurrences_are_kept_and_the_count_goes_on(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised(at_ns=30, count=30))
    owner.commit(make_raised(at_ns=70, count=40))
    owner.commit(make_raised(at_ns=71))
    with reading(store) as connection:
        detail = queries.get_alert(connection, alert_id("unusual-query", "k"))
    assert detail is not None
    assert detail.alert.count == 71
    assert [*range(71, 21, -1)] == [one.number for one in detail.occurrences]
    assert [*range(71, 21, -1)] == [one.time_ns for one in detail.occurrences]


def test_resources_rollups_quarantine_and_counters_add_up(store: sa.Engine) -> None:
    owner = Owner(store)
    zero = dict.fromkeys(("errors", "suspects", "bytes_sent", "rows_returned", "rows_affected", "duration_ns"), 0)
    for turn in (1, 2):
        owner.commit(
            seen=[ResourceActivity(resource_id="r", app="shop", system="redis", endpoint="c:6379", namespace="0",
                       first_ns=10 * turn, last_ns=20 * turn, calls=3, errors=1, facts={"tls.established": turn == 2})],
            rollups=[Rollup(resource_id="r", end_ns=10, calls=1, bytes_received=2, new_statements=1, **zero)],
            quarantined=[QuarantinedRecord(partition=0, offset=4, reason="cut", value=b"\xff\x00", appended_ns=1)],
            losses={"gap": 2}, counters={"spans": 5, "late": 0},
        )  # fmt: skip
    with reading(store) as connection:
        (resource,) = queries.list_resources(connection)
        (window,) = queries.rollup_series(connection, "r", 0, 100)
        health = queries.health(connection)
        kept = connection.execute(sa.select(tables.quarantine.c.value)).scalars().all()
    assert (
        resource.first_ns, resource.last_ns, resource.calls, resource.errors, resource.facts
    ) == (10, 40, 6, 2, {"tls.established": True})  # fmt: skip
    assert (window.calls, window.bytes_received, window.new_statements) == (2, 4, 2)
    assert (health.losses, health.counters, health.quarantined) == ({"gap": 4}, {"spans": 10}, 1)
    assert [bytes(one) for one in kept] == [b"\xff\x00"]


def test_what_no_database_takes_is_taken_all_the_same(store: sa.Engine) -> None:
    hostile = "\x00\ud800" + "x" * 100_000
    strange = [float("nan"), 2**80, b"\xff", {hostile: hostile}]
    occurrences = [Occurrence(time_ns=-(2**70), trace_id=hostile, span_id=hostile, evidence={hostile: strange * 100})]
    one = make_raised(app=hostile, resource=hostile, level=hostile, last_ns=2**70, occurrences=occurrences)
    one = replace(one, key=hostile, count=2**70)
    text = dict.fromkeys(("app", "system", "endpoint", "namespace"), hostile)
    seen = ResourceActivity(
        resource_id="r", first_ns=0, last_ns=2**80, calls=2**80, errors=-1, facts={hostile: hostile}, **text
    )
    owner = Owner(store)
    for _ in range(2):
        owner.commit(one, seen=[seen], counters={hostile: 2**80})
    with reading(store) as connection:
        (row,) = queries.list_alerts(connection).rows
        bodies = connection.scalars(sa.select(tables.event.c.body)).all()
    assert len(row.app) == 4_000
    assert "\x00" not in row.app
    assert max(len(body) for body in bodies) <= 20_000


def test_10_000_alerts_in_one_commit_take_seconds(store: sa.Engine) -> None:
    Owner(store).commit(*(make_raised(str(number), at_ns=number) for number in range(10_000)))
    with reading(store) as connection:
        assert queries.overview(connection)["open"]["high"] == 10_000


def test_commit_gives_the_same_events_on_every_engine_and_run(store: sa.Engine) -> None:
    Owner(store).commit(make_raised("a", at_ns=5), make_cleared("a"), make_raised("a", at_ns=3_000))
    table = tables.event
    with reading(store) as connection:
        rows = connection.execute(sa.select(table.c.kind, table.c.id, table.c.body).order_by(table.c.kind)).all()
    assert [(row.kind, row.id[:8]) for row in rows] == [
        ("alert.cleared", "01876cba"), ("alert.opened", "d95688b3"), ("alert.reopened", "c8355f0d"),
    ]  # fmt: skip
    assert hashlib.sha256("".join(row.body for row in rows).encode()).hexdigest()[:16] == "62093ba021a87c0a"


def test_load_needs_no_more_than_the_row_to_be_there(store: sa.Engine) -> None:
    with writing(store) as connection:
        first, again = shards.load(connection, 3), shards.load(connection, 3)
    assert first == again
    shards.commit(store, commit(0, shard=3), now_ns=1)
