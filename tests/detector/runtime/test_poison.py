"""A record that cannot be judged is quarantined as a loss. All other results are unchanged."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DBAPIError, OperationalError

from backwatch.collector.stream import Record, StreamUnavailable
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import isolation
from backwatch.store import attempts, entries, tables
from backwatch.store.transactions import reading, writing
from tests.detector.runtime.poison import (
    Broken,
    Recorded,
    drain,
    history,
    loss_alerts,
    losses,
    poison,
    quarantine,
    results,
    service,
)
from tests.detector.streams import START_NS, eventful

FAULTS = [
    ("decode", MemoryError()), ("columns", KeyError("secret")), ("rules", RecursionError()),
    ("verdicts", KeyError("secret")), ("pending", ValueError("secret")),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "error"), FAULTS, ids=[f"{stage}-{type(error).__name__}" for stage, error in FAULTS])
def test_failing_record_is_quarantined_and_changes_no_other_result(
    stage: str, error: BaseException, engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = history(7, 90, 91)
    undisturbed, store = stores(), stores()
    log = Recorded(good)
    drain(service(undisturbed, engine), log, undisturbed)
    getattr(Broken, stage)(monkeypatch, error)
    log = Recorded(bad)
    drain(service(store, engine), log, store)
    offsets = [7, 91, 93]
    assert [(offset, bad[offset][0]) for offset in offsets] == [(at, value) for at, _, value in quarantine(store)]
    reasons = {reason for _, reason, _ in quarantine(store)}
    assert all(reason.startswith(type(error).__name__) and "secret" not in reason for reason in reasons), reasons
    assert results(undisturbed) == results(store)
    assert {**losses(undisturbed), "quarantine": 3} == losses(store)
    assert "quarantine" in loss_alerts(store)


def test_record_with_a_value_the_store_refuses_is_quarantined(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = history(40)
    undisturbed, store = stores(), stores()
    drain(service(undisturbed, engine), Recorded(good), undisturbed)
    Broken.mark(monkeypatch)
    with writing(store) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON backwatch_resource WHEN NEW.facts LIKE '%poisonous%' "
            "BEGIN SELECT RAISE(ABORT, 'a value that the database refuses'); END"
        )
    drain(service(store, engine), Recorded(bad), store)
    ((offset, reason, value),) = quarantine(store)
    assert (40, bad[40][0]) == (offset, value)
    assert "the store refuses" in reason
    assert results(undisturbed) == results(store)


def test_handled_fault_does_not_count_as_a_death(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reload that finds the record would otherwise judge 2 000 records one by one."""
    _, bad = history(0)
    Broken.verdicts(monkeypatch, ValueError())
    store = stores()
    running = service(store, engine)
    drain(running, Recorded(bad), store)
    assert len(quarantine(store)) == 1
    with reading(store) as connection:
        assert attempts.read(connection, 0, 0).loads == 1


def test_stream_of_poison_only_ends_and_blames_the_detector(
    engine: Engine,
    stores: Callable[[], sa.Engine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Broken.verdicts(monkeypatch, ValueError())
    store = stores()
    log = Recorded([poison(START_NS + i * 10**9) for i in range(30)])
    drain(service(store, engine), log, store)
    assert 30 == len(quarantine(store)) == losses(store)["quarantine"]
    assert any(f"the last {isolation.MAX_SET_ASIDE_IN_A_ROW} records" in one.getMessage() for one in caplog.records)


def test_entry_that_cannot_be_applied_is_skipped_with_a_loss(engine: Engine, stores: Callable[[], sa.Engine]) -> None:
    store = stores()
    with writing(store) as connection:
        entries.append(connection, "decision", {"kind": "accept"}, 1, "ann")  # no alert: KeyError
    good, _ = history(count=40)
    drain(service(store, engine), Recorded(good), store)
    assert losses(store)["entry"] == 1
    with reading(store) as connection:
        assert connection.scalar(sa.select(tables.shard.c.entry_id)) == connection.scalar(
            sa.select(sa.func.max(tables.entry.c.id))
        )


def test_interrupted_turn_rereads_its_records(engine: Engine, stores: Callable[[], sa.Engine]) -> None:
    """Failure that taught it: records that were polled and not judged were skipped silently."""

    class Away(Recorded):
        """A broker that is unavailable when asked for the log's start."""

        away = True

        def poll(self, timeout_s: float) -> list[Record]:
            found = super().poll(timeout_s)
            return [one for one in found if one.offset != 3]  # a gap, so that the detector queries the log's start

        def bounds(self, partition: int) -> tuple[int, int]:
            if self.away:
                self.away = False
                raise StreamUnavailable("away")
            return super().bounds(partition)

    good, _ = history(count=100)
    store = stores()
    log = Away(good)
    running = service(store, engine, poll_records=3)
    with pytest.raises(StreamUnavailable):
        running.turn(log)
    drain(running, log, store)
    with reading(store) as connection:
        calls = connection.scalar(sa.select(tables.counter.c.value).where(tables.counter.c.name == "calls"))
    assert len(eventful(seed=3, count=100)) - 4 == calls


def test_store_outage_quarantines_no_record(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = history(count=100)
    store = stores()
    left = 5

    def refuse(*_: Any) -> None:
        nonlocal left
        if left:
            left -= 1
            raise OperationalError("UPDATE", {}, Exception("deadlock detected"))

    sa_event.listen(store, "commit", refuse)
    running, log = service(store, engine), Recorded(good)
    while left:
        with contextlib.suppress(DBAPIError):  # where the service's loop waits and tries again
            running.turn(log)
    drain(running, log, store)
    assert quarantine(store) == []
