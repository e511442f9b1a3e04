"""A truncated log is read on behind the cut, a recreated topic from its beginning.

Both are losses.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Record
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import log_history, service
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.transactions import reading
from tests.detector.runtime.test_service_entries import Log
from tests.detector.streams import eventful, records

VALUES = records(eventful(seed=3, count=160), per_record=4)


class EpochLog(Log):
    """A Kafka partition, and a client that follows its log as kafka-python does."""

    def __init__(self) -> None:
        super().__init__()
        self.topic = "one"
        self.epoch = 0
        self.has_epochs = True
        self._taken = 0
        self._position_epoch = -1

    def append(self, count: int) -> None:
        for _ in range(count):
            value, appended, backfill = VALUES[self._taken]
            epoch = self.epoch if self.has_epochs else -1
            self.records.append(Record(0, len(self.records), appended, value, backfill=backfill, leader_epoch=epoch))
            self._taken += 1

    def cut(self, offset: int) -> None:
        del self.records[offset:]
        self.epoch += 1

    def make_anew(self) -> None:
        self.records.clear()
        self.topic, self.epoch = self.topic + "x", 0

    def topic_id(self) -> str:
        return self.topic

    def poll(self, timeout_s: float) -> list[Record]:
        if self._position_epoch >= 0:
            later = (one.offset for one in self.records if one.leader_epoch > self._position_epoch)
            self._next = min(self._next, next(later, len(self.records)))
            if all(one.leader_epoch < self._position_epoch for one in self.records):
                self._next = 0  # an epoch that the broker does not know
        elif self._next > len(self.records):
            self._next = 0  # out of range: the client goes to the earliest
        found = super().poll(timeout_s)
        self._position_epoch = found[-1].leader_epoch if found else self._position_epoch
        return found

    def seek(self, partition: int, offset: int) -> None:
        self.resume(partition, offset, -1, "")

    def resume(self, partition: int, offset: int, leader_epoch: int, topic_id: str) -> None:
        self._next, self._position_epoch = offset, leader_epoch


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(service, "OBSERVE_EVERY_S", 0.0)
    monkeypatch.setattr(log_history, "SHRUNK_S", 0.2)


def detector(store: sa.Engine, engine: Engine) -> DetectorService:
    return DetectorService(
        StreamSettings(partitions=1), store, DetectorSettings(commit_interval_s=0), lambda: 1, engine
    )


def turn(running: DetectorService, log: Log, store: sa.Engine) -> None:
    """Turn until the whole log is committed and its end has reached the commit."""
    deadline_s = time.monotonic() + 20
    for _ in range(3):
        running.turn(log)
    while offset(store) != len(log.records):
        assert time.monotonic() < deadline_s
        running.turn(log)


def read_counter(store: sa.Engine, name: str) -> int:
    table = tables.counter
    with reading(store) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(table.c.value)).where(table.c.name == name)) or 0)


def offset(store: sa.Engine) -> int:
    with reading(store) as connection:
        return connection.scalar(sa.select(tables.shard.c.next_offset)) or 0


def loss_alerts(store: sa.Engine) -> list[str]:
    with reading(store) as connection:
        return list(connection.scalars(sa.select(tables.alert.c.rule).where(tables.alert.c.resource_id == "")))


def same(running: DetectorService, _again: Callable[[], DetectorService]) -> DetectorService:
    return running


def restart(_running: DetectorService, again: Callable[[], DetectorService]) -> DetectorService:
    return again()


@pytest.mark.parametrize("goes_on", [same, restart])
@pytest.mark.parametrize("has_epochs", [True, False])
@pytest.mark.parametrize("appended", [0, 2, 6, 20])
def test_truncated_log_is_judged_once(
    store: sa.Engine, engine: Engine, goes_on: Callable[..., DetectorService], appended: int, *, has_epochs: bool
) -> None:
    log = EpochLog()
    log.has_epochs = has_epochs
    log.append(10)
    running = detector(store, engine)
    turn(running, log, store)
    assert (offset(store), read_counter(store, "calls")) == (10, 40)
    log.cut(6)
    log.append(appended)
    running = goes_on(running, lambda: detector(store, engine))
    turn(running, log, store)
    log.append(3)
    turn(running, log, store)
    assert offset(store) == len(log.records)
    if has_epochs:  # each record is judged, whenever it was written
        assert (read_counter(store, "calls"), read_counter(store, "gap")) == (40 + 4 * (appended + 3), 1)
        assert loss_alerts(store) == ["telemetry-loss"]
    else:  # the cut's offset is unknown: records written before its detection are lost
        assert read_counter(store, "calls") <= 40 + 4 * (appended + 3)
        assert appended >= 4 or read_counter(store, "gap") == 1


@pytest.mark.parametrize("count", [3, 10, 25])
def test_topic_recreated_without_a_running_detector_is_read_from_its_beginning(
    store: sa.Engine, engine: Engine, count: int
) -> None:
    log = EpochLog()
    log.append(10)
    turn(detector(store, engine), log, store)
    log.make_anew()
    log.append(count)
    turn(detector(store, engine), log, store)
    assert (offset(store), read_counter(store, "calls"), read_counter(store, "gap")) == (count, 40 + 4 * count, 1)
    assert loss_alerts(store) == ["telemetry-loss"]


def test_record_at_a_poison_offset_is_judged_after_truncation(store: sa.Engine, engine: Engine) -> None:
    log = EpochLog()
    log.append(10)
    running = detector(store, engine)
    turn(running, log, store)
    running._isolation[0].poison[7] = "an older record"
    log.cut(6)
    log.append(4)
    turn(running, log, store)
    assert (read_counter(store, "calls"), read_counter(store, "quarantine")) == (56, 0)


def test_epoch_unknown_to_the_broker_stalls_no_partition(store: sa.Engine, engine: Engine) -> None:
    log = EpochLog()
    log.epoch = 3
    log.append(10)
    turn(detector(store, engine), log, store)
    log.cut(6)
    log.records = [replace(one, leader_epoch=0) for one in log.records]
    log.epoch = 1
    log.append(8)
    turn(detector(store, engine), log, store)
    assert (offset(store), read_counter(store, "calls")) == (14, 56)


def test_log_briefly_shorter_twice_is_judged_once(
    store: sa.Engine, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarting broker recovers its log while its partitions move. That may repeat."""
    log = EpochLog()
    log.has_epochs = False
    log.append(10)
    running = detector(store, engine)
    turn(running, log, store)
    whole, log.records = log.records, log.records[:6]
    running.turn(log)
    with monkeypatch.context() as patch:
        patch.setattr(log, "assignment", frozenset[int])
        running.turn(log)
    time.sleep(log_history.SHRUNK_S)
    running.turn(log)
    log.records = whole
    turn(running, log, store)
    assert (read_counter(store, "calls"), read_counter(store, "gap")) == (40, 0)


def later_leader(log: EpochLog) -> None:
    log.epoch += 1


@pytest.mark.parametrize("happens", [later_leader, EpochLog.make_anew])
def test_records_judged_by_an_older_release_are_not_judged_again(
    store: sa.Engine, engine: Engine, happens: Callable[[EpochLog], None]
) -> None:
    """A detector older than the columns may still run, and leaves them unchanged."""
    log = EpochLog()
    log.append(10)
    turn(detector(store, engine), log, store)
    table = tables.shard
    known = [table.c.topic_id, table.c.leader_epoch, table.c.log_seq]
    with store.begin() as connection:
        before = connection.execute(sa.select(*known)).mappings().one()
    happens(log)
    log.append(5)
    turn(detector(store, engine), log, store)
    judged = read_counter(store, "calls"), read_counter(store, "gap")
    with store.begin() as connection:
        connection.execute(sa.update(table).values(**before))
    turn(detector(store, engine), log, store)
    assert (read_counter(store, "calls"), read_counter(store, "gap")) == judged


def test_shard_of_an_older_version_learns_its_topic(store: sa.Engine, engine: Engine) -> None:
    log = EpochLog()
    log.append(3)
    log.records = [replace(one, leader_epoch=-1) for one in log.records]
    log.topic = ""
    turn(detector(store, engine), log, store)
    log.topic = "one"
    turn(detector(store, engine), log, store)
    with reading(store) as connection:
        assert connection.scalar(sa.select(tables.shard.c.topic_id)) == "one"
    assert read_counter(store, "gap") == 0
