"""Stalled partitions are stored with a reason, raise an alert, and get a new consumer."""

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import progress as progress_module
from backwatch.detector.runtime import repeated_errors
from backwatch.detector.runtime.lag import CALM_NS, RULE, STALL_NS
from backwatch.detector.runtime.progress import GroupProgress, ProgressBoard
from backwatch.store import shards
from backwatch.store.monitoring.incidents import PARTITION_UNREAD, find_incidents
from backwatch.store.progress import ALIVE_NS, PartitionProgress, read_progress, write_progress
from backwatch.store.transactions import reading, writing
from tests.detector.runtime.rows import alerts
from tests.services.waiting import wait_until

GROUP, TOPIC = "backwatch-detector", names.TOPIC_CALLS
S = 10**9


class Clock:
    """Wall and monotonic time that advance together."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * S

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_s(self) -> float:
        return self.now_ns / S

    def passes(self, nanoseconds: int) -> None:
        self.now_ns += nanoseconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def group(clock: Clock) -> GroupProgress:
    return GroupProgress(GROUP, TOPIC, clock.wall_ns, clock.monotonic_s)


def board(store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock) -> ProgressBoard:
    rule = next(one for one in engine.rules.rules if one.name == RULE)
    return ProgressBoard(store, [group], rule, clock.wall_ns)


def rows(store: sa.Engine) -> dict[int, PartitionProgress]:
    with reading(store) as connection:
        return {one.partition_id: one for one in read_progress(connection)}


def turns(group: GroupProgress, clock: Clock, seconds: int, positions: dict[int, tuple[int | None, int]], **more: str):  # noqa: ANN201
    """Run the loop for so long with unchanging polls."""
    for _ in range(seconds):
        clock.passes(S)
        group.turn("polling")
        group.note_poll()
        group.observe(
            positions,
            {int(one[1:]): why for one, why in more.items()},
            {one: end for one, (_, end) in positions.items()},
        )


def test_lagging_partition_raises_one_alert_until_it_advances(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    two = [board(store, group, engine, clock), board(store, group, engine, clock)]  # as of two members

    def writes() -> None:
        for one in two:
            one.write()

    turns(group, clock, 1, {0: (5, 9), 1: (7, 7)})
    writes()
    turns(group, clock, STALL_NS // S - 2, {0: (5, 9), 1: (7, 7)})
    writes()
    assert alerts(store, RULE) == []
    turns(group, clock, 3, {0: (5, 9), 1: (7, 7)}, p0="the store is full")
    writes()
    (alert,) = alerts(store, RULE)
    assert (alert.raised, alert.count, alert.level) == (True, 1, "high")
    assert "the store is full" in alert.evidence
    assert (rows(store)[0].lag, rows(store)[0].reason) == (4, "the store is full")
    turns(group, clock, 1, {0: (9, 9), 1: (7, 7)})
    writes()
    turns(group, clock, CALM_NS // S, {0: (9, 9), 1: (7, 7)})
    writes()
    (alert,) = alerts(store, RULE)
    assert (alert.raised, alert.episode, alert.count) == (False, 1, 1)
    assert rows(store)[0].reason == ""


def test_unassigned_partition_raises_the_alert(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    gone = PartitionProgress(
        consumer_group=GROUP, topic=TOPIC, partition_id=1, next_offset=3, end_offset=3, advanced_ns=clock.now_ns,
        updated_ns=clock.now_ns, member="elsewhere:7",
    )  # fmt: skip
    write_progress(store, [gone])
    one = board(store, group, engine, clock)
    for _ in range(STALL_NS // S + 2):
        turns(group, clock, 1, {0: (5, 5)})
        group.observe({0: (5, 5)}, {}, {0: 5, 1: 8})
        one.write()
    (alert,) = alerts(store, RULE)
    assert "no member of the group holds it" in alert.evidence
    assert "elsewhere:7" in alert.evidence


def test_progress_of_removed_partitions_is_deleted_and_clears_the_alert(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    row = PartitionProgress(
        consumer_group=GROUP, topic=TOPIC, partition_id=1, next_offset=3, end_offset=3, advanced_ns=clock.now_ns,
        updated_ns=clock.now_ns, member="elsewhere:7",
    )  # fmt: skip
    kept = [replace(row, consumer_group="another"), replace(row, topic=names.TOPIC_SPANS), replace(row, partition_id=3)]
    write_progress(store, [row, replace(row, partition_id=2), *kept])
    one = board(store, group, engine, clock)
    clock.passes(55 * S)
    turns(group, clock, 1, {0: (5, 5)})
    one.write()
    assert set(rows(store)) == {0, 1, 2, 3}  # a member with newer metadata may read them
    write_progress(store, [replace(kept[2], updated_ns=clock.now_ns)])
    turns(group, clock, 10, {0: (5, 5)})
    one.write()
    with reading(store) as connection:
        stored = read_progress(connection)
        left = {(one.consumer_group, one.topic, one.partition_id) for one in stored}
    assert left == {
        (GROUP, TOPIC, 0), (GROUP, TOPIC, 3), ("another", TOPIC, 1), (GROUP, names.TOPIC_SPANS, 1),
    }  # fmt: skip
    assert PARTITION_UNREAD not in {one.kind for one in find_incidents(stored, [], clock.now_ns)}


def test_an_unforeseen_error_is_reported_by_class_and_place_without_its_text() -> None:
    try:
        raise ValueError("text of an attacker")
    except ValueError as error:
        text = repeated_errors.describe_unforeseen(error)
    assert re.fullmatch(
        r"ValueError in test_an_unforeseen_error_is_reported_by_class_and_place_without_its_text, line \d+", text
    )


def test_store_outage_makes_no_partition_seem_unassigned(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    held_elsewhere = PartitionProgress(
        consumer_group=GROUP, topic=TOPIC, partition_id=1, next_offset=8, end_offset=8, advanced_ns=clock.now_ns,
        updated_ns=clock.now_ns, member="elsewhere:7",
    )  # fmt: skip
    write_progress(store, [held_elsewhere])
    one = board(store, group, engine, clock)
    one.write()
    for _ in range(2 * STALL_NS // S):  # meanwhile neither member can write
        turns(group, clock, 1, {0: (5, 5)})
        group.observe({0: (5, 5)}, {}, {0: 5, 1: 8})
    one.write()
    assert alerts(store, RULE) == []


def test_unavailable_broker_raises_the_alert_without_a_known_lag(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    one = board(store, group, engine, clock)
    turns(group, clock, 1, {0: (5, 5)})
    one.write()
    group.fail("the broker does not answer")
    for _ in range(STALL_NS // S + 2):
        clock.passes(S)
        group.turn("waiting")
        one.write()
    (alert,) = alerts(store, RULE)
    assert "the broker does not answer" in alert.evidence


@pytest.mark.parametrize("ends", [{}, {0: 5, 1: 8}], ids=["without a broker", "new"])
def test_new_member_clears_no_alert_of_another(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock, ends: dict[int, int]
) -> None:
    watching = board(store, group, engine, clock)
    turns(group, clock, 1, {0: (5, 5), 1: (8, 8)})
    watching.write()
    group.observe({}, {}, {0: 5, 1: 8})  # its client was closed and holds no partition any more
    late = GroupProgress(GROUP, TOPIC, clock.wall_ns, clock.monotonic_s)
    another: ProgressBoard | None = None
    for second in range(3 * STALL_NS // S):
        clock.passes(S)
        group.turn("waiting")
        watching.write()
        if second == STALL_NS // S + 5:
            another = board(store, late, engine, clock)
            late.observe({}, {}, ends)
        if another is not None:
            late.turn("waiting")
            another.write()
    (alert,) = alerts(store, RULE)
    assert (alert.raised, alert.episode) == (True, 1)
    for _ in range(CALM_NS // S + 1):
        turns(group, clock, 1, {0: (5, 5), 1: (8, 8)})
        watching.write()
        if another is not None:
            another.write()
    (alert,) = alerts(store, RULE)
    assert (alert.raised, alert.episode) == (False, 1)


def test_partition_that_advances_under_load_raises_nothing(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    one = board(store, group, engine, clock)
    for at in range(12):
        turns(group, clock, 10, {0: (at, 10_000)})
        one.write()
    assert alerts(store, RULE) == []
    assert rows(store)[0].lag == 10_000 - 11


def test_stall_time_survives_a_takeover_by_another_member(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    turns(group, clock, 1, {0: (5, 9)})
    board(store, group, engine, clock).write()
    for _ in range(4):  # a member that holds it for ten seconds, again and again
        another = GroupProgress(GROUP, TOPIC, clock.wall_ns, clock.monotonic_s)
        one = board(store, another, engine, clock)
        turns(another, clock, 10, {0: (5, 9)})
        one.write()
    assert len(alerts(store, RULE)) == 1


def test_backlog_from_detector_downtime_raises_nothing(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    turns(group, clock, 1, {0: (5, 9)})
    board(store, group, engine, clock).write()
    clock.passes(3_600 * S)
    another = GroupProgress(GROUP, TOPIC, clock.wall_ns, clock.monotonic_s)
    one = board(store, another, engine, clock)
    turns(another, clock, 5, {0: (5, 900)})
    one.write()
    assert alerts(store, RULE) == []


def test_hanging_loop_is_reported_as_the_reason(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    turns(group, clock, 1, {0: (5, 9)})
    group.turn("judging partition 0 from offset 5")
    clock.passes(25 * S)
    board(store, group, engine, clock).write()
    assert rows(store)[0].reason == "the reading loop has been judging partition 0 from offset 5 for 25 s"


def test_stopped_member_does_not_overwrite_the_new_owners_progress(
    store: sa.Engine, engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards: dict[str, tuple[GroupProgress, ProgressBoard]] = {}
    for member in ("stopped:1", "owner:2"):
        monkeypatch.setattr(progress_module, "member_name", lambda member=member: member)
        member_progress = GroupProgress(GROUP, TOPIC, clock.wall_ns, clock.monotonic_s)
        boards[member] = member_progress, board(store, member_progress, engine, clock)

    def observe(member: str, at: int, owner: str) -> None:
        boards[member][0].turn("polling")
        boards[member][0].observe({0: (at, 9)}, {}, {0: 9}, {0: owner})
        boards[member][1].write()

    def loads(owner: str) -> None:
        with writing(store) as connection:
            shards.load(connection, 0, owner)

    loads("aa")
    observe("stopped:1", 5, "aa")
    clock.passes(60 * S)
    loads("bb")
    observe("owner:2", 8, "bb")
    clock.passes(S)
    boards["stopped:1"][1].write()
    assert (rows(store)[0].member, rows(store)[0].next_offset) == ("owner:2", 8)
    assert alerts(store, RULE) == []  # it does not report its own pause as the partition's
    observe("stopped:1", 5, "aa")  # its client does not know of the rebalance yet
    assert rows(store)[0].member == "owner:2"
    clock.passes(ALIVE_NS)  # the new owner has died: the partition's holder writes
    observe("stopped:1", 8, "aa")
    assert rows(store)[0].member == "stopped:1"
    observe("owner:2", 9, "bb")
    assert rows(store)[0].member == "owner:2"


def test_error_is_stored_immediately_and_removed_once_resolved(
    store: sa.Engine, group: GroupProgress, engine: Engine, clock: Clock
) -> None:
    one = board(store, group, engine, clock)
    turns(group, clock, 1, {0: (5, 9)})
    one.start()
    group.fail("the broker does not answer")
    wait_until(
        lambda: rows(store).get(0) is not None and rows(store)[0].reason == "the broker does not answer", within_s=4
    )
    turns(group, clock, 1, {0: (6, 9)})
    one.write()
    assert rows(store)[0].reason == ""
    one.stop()
