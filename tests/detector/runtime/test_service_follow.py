"""Each record is judged once, for any rebalance and any error of the stream's client."""

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Consumer, Record, StreamUnavailable
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.runtime import service as service_module
from backwatch.detector.runtime import shard_worker
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import shards, tables
from backwatch.store.commit import Fenced
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.transactions import reading
from tests.detector.runtime.test_service_entries import Log
from tests.detector.streams import CONFIG

PARTITIONS = 3
ENGINE = make_engine(CONFIG)
STEPS = ("poll", "bounce", "take away", "give", "other commits", "append", "fail poll", "fail bounds", "fail store",
         "assert", "fail load", "fail current")  # fmt: skip


@dataclasses.dataclass
class World:
    """The log, the store's shards and the group, as all members see them."""

    log: list[int] = dataclasses.field(default_factory=lambda: [2] * PARTITIONS)
    committed: list[list[int]] = dataclasses.field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    seq: list[int] = dataclasses.field(default_factory=lambda: [0] * PARTITIONS)
    mine: set[int] = dataclasses.field(default_factory=lambda: set[int](range(PARTITIONS)))
    generation: list[int] = dataclasses.field(default_factory=lambda: [0] * PARTITIONS)
    failures: set[str] = dataclasses.field(default_factory=set[str])

    def fails(self, action: str, error: BaseException) -> None:
        if action in self.failures:
            self.failures.discard(action)
            raise error


class Member(Consumer):
    """A client like kafka-python: a new partition starts at the group's commit, or anywhere."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.positions = dict.fromkeys(range(PARTITIONS), 1)
        self.sought: dict[int, int] = {}

    def poll(self, timeout_s: float) -> list[Record]:
        self.world.fails("assert", AssertionError("in the client"))
        found: list[Record] = []
        for one in sorted(self.world.mine):
            at, self.positions[one] = self.positions[one], self.world.log[one]
            if one not in self.find_unpositioned():
                found += [Record(one, offset, 1, b"") for offset in range(at, self.world.log[one])]
        self.world.fails("fail poll", StreamUnavailable("after the client has moved on"))
        return found

    def assignment(self) -> frozenset[int]:
        return frozenset(self.world.mine)

    def find_unpositioned(self) -> frozenset[int]:
        return frozenset(one for one in self.world.mine if self.sought.get(one) != self.world.generation[one])

    def seek(self, partition: int, offset: int) -> None:
        self.positions[partition], self.sought[partition] = offset, self.world.generation[partition]

    def bounds(self, partition: int) -> tuple[int, int]:
        self.world.fails("fail bounds", StreamUnavailable("no bounds"))
        return 0, self.world.log[partition]

    def all_bounds(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        return {one: (0, self.world.log[one]) for one in partitions}

    def read_to(self, partition: int) -> int:
        return 0

    def commit(self, partition: int, offset: int) -> None: ...

    def close(self) -> None: ...


def shard_of(world: World) -> Callable[..., Any]:
    class Shard:
        """An owned shard that commits at once, under the fence."""

        watermark_ns, trouble, has_work, topic_id, leader_epoch, owner = 0, None, False, "", -1, ""

        def __init__(self, partition: int, *_: Any) -> None:
            world.fails("fail load", StoreUnavailable("no shard"))
            self.partition, self.seq = partition, world.seq[partition]
            self.next_offset = len(world.committed[partition])
            self.due = self.stuck = False
            self._pending: list[int] = []

        def take_entries(self) -> None: ...

        def belongs_to(self, _topic_id: str) -> None: ...

        def tick_is_due(self, _now_ns: int) -> bool:
            return False

        def is_current(self) -> bool:
            world.fails("fail current", StoreUnavailable("no answer"))
            return self.seq == world.seq[self.partition]

        def take(self, records: Sequence[Record], _log_start: int) -> None:
            offsets = [one.offset for one in records if one.offset >= self.next_offset]
            assert offsets == list(range(self.next_offset, self.next_offset + len(offsets)))  # no hole
            self._pending += offsets
            self.next_offset += len(offsets)
            self.due = bool(self._pending)

        def commit(self, _now_ns: int) -> bool:
            self.stuck = "fail store" in world.failures
            world.failures.discard("fail store")
            if self.stuck:
                return False
            if self.seq != world.seq[self.partition]:
                raise Fenced("another owner")
            world.committed[self.partition] += self._pending
            self._pending, self.due, self.seq = [], False, self.seq + 1
            world.seq[self.partition] = self.seq
            return True

    return Shard


class Never(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return False


def step(world: World, action: str, one: int) -> None:
    if action == "bounce":  # revoked and assigned within one poll
        world.generation[one] += 1
    elif action == "take away":
        world.mine.discard(one)
        world.generation[one] += 1
    elif action == "give":
        world.mine.add(one)
        world.generation[one] += 1
    elif action == "other commits" and one not in world.mine:
        world.committed[one] += range(len(world.committed[one]), world.log[one])
        world.seq[one] += 1
    elif action == "append":
        world.log[one] += 2
    elif action.startswith("fail") or action == "assert":
        world.failures.add(action)


def let_go(_service: DetectorService, _consumer: Consumer | None) -> None:
    """Release all partitions, as the service does after an unforeseen error."""
    assert isinstance(sys.exception(), AssertionError | StreamUnavailable | StoreUnavailable), sys.exception()


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, PARTITIONS - 1)), max_size=40))
def test_each_record_is_judged_once_in_any_order_of_rebalances_and_errors(plan: list[tuple[str, int]]) -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_module, "ShardWorker", shard_of(world))
        patch.setattr(service_module, "ensure_topics", lambda *_: None)
        patch.setattr(service_module, "open_consumer", lambda *_: Member(world))
        patch.setattr(service_module, "RETRY_S", 0.0)
        patch.setattr("backwatch.detector.runtime.service.time.sleep", lambda _: None)
        patch.setattr(DetectorService, "_take_entries", lambda _: None)
        patch.setattr(DetectorService, "_let_go", let_go)
        # Several portions to a poll: a refused commit must not lose the portions behind it.
        one = DetectorService(StreamSettings(), STORE, DetectorSettings(poll_records=1), lambda: 1, ENGINE)
        consumer: Consumer | None = None
        for action, partition in plan:
            step(world, action, partition)
            consumer = one.attempt(consumer, Never())
        world.failures.clear()
        world.mine |= set(range(PARTITIONS))
        for _ in range(4):
            consumer = one.attempt(consumer, Never())
    assert world.committed == [list(range(count)) for count in world.log]


STORE: sa.Engine = sa.create_engine("sqlite://")  # not queried here


def test_unloadable_shard_logs_one_line_per_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    reasons = ["the server is starting up", "connection refused", "connection refused"]

    def load(*given: Any) -> shard_worker.ShardWorker:
        if reasons:
            raise StoreUnavailable(reasons.pop())
        return shard_worker.ShardWorker(*given)

    monkeypatch.setattr(service_module, "ShardWorker", load)
    monkeypatch.setattr(service_module, "RETRY_S", 0.0)
    running = DetectorService(StreamSettings(), store, DetectorSettings(), lambda: 1, ENGINE)
    for _ in range(5):
        running.turn(Log())
    assert caplog.messages == [
        "backwatch: shard 0 cannot be loaded: connection refused; trying until it can",
        "backwatch: shard 0 is loaded, and its partition is read again",
    ]


def test_findings_during_a_blocked_commit_are_in_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    owner = shard_worker.ShardWorker(0, ENGINE, store, DetectorSettings(commit_interval_s=0))
    real, away = shards.commit, [True]

    def commit(*arguments: Any, **more: Any) -> None:
        if away.pop() if away else False:
            raise StoreUnavailable("away for a moment")
        real(*arguments, **more)

    monkeypatch.setattr(shards, "commit", commit)
    owner.apply(Loss("gap", 3, 10**18))
    assert not owner.commit(1)
    owner.apply(Loss("gap", 4, 10**18))
    owner.apply(Loss("late", 5, 10**18))
    assert owner.commit(2)
    assert owner.commit(3)
    with reading(store) as connection:
        found = connection.execute(sa.select(tables.counter.c.name, tables.counter.c.value)).all()
    assert {row.name: row.value for row in found} == {"gap": 7, "late": 5}
