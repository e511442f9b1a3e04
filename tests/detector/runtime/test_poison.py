"""A record that cannot be judged is quarantined as a loss. All other results are unchanged."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DBAPIError, OperationalError

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Record, StreamUnavailable
from backwatch.detector.columns.prepared import Columns
from backwatch.detector.engine import intake, step
from backwatch.detector.engine.call_verdicts import CallVerdicts, RunVerdict
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import isolation
from backwatch.detector.runtime.pending import PendingCommit
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import attempts, entries, shards, tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.transactions import reading, writing
from tests.detector.identity.test_identities import CONFIG
from tests.detector.runtime.test_service_entries import Log
from tests.detector.streams import SAFE, START_NS, Call, encoded, eventful, records, statement

BAD = b"poisonous-statement"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(CONFIG)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[[], sa.Engine]]:
    opened: list[sa.Engine] = []

    def another() -> sa.Engine:
        opened.append(open_store(f"sqlite:///{tmp_path / f'store{len(opened)}.db'}"))
        return opened[-1]

    yield another
    for one in opened:
        one.dispose()


def poison(at_ns: int) -> tuple[bytes, int, bool]:
    call = Call(at_ns, SAFE, statement(f"SELECT ? FROM {BAD.decode()}"))
    return encoded([call]), at_ns + 10**9, True


def history(*places: int, count: int = 160) -> tuple[list[tuple[bytes, int, bool]], list[tuple[bytes, int, bool]]]:
    """Return an eventful stream without and with poison before these offsets."""
    good = records(eventful(seed=3, count=count), per_record=4)
    bad = list(good)
    for place in sorted(places, reverse=True):
        bad.insert(place, poison(good[place][1] - 10**9))
    return good, bad


class Recorded(Log):
    """A stream of these records."""

    def __init__(self, found: Sequence[tuple[bytes, int, bool]]) -> None:
        super().__init__()
        self.records = [
            Record(partition=0, offset=i, value=value, appended_ns=appended, backfill=backfill)
            for i, (value, appended, backfill) in enumerate(found)
        ]


def service(store: sa.Engine, engine: Engine, poll_records: int = 50) -> DetectorService:
    settings = DetectorSettings(commit_interval_s=0, poll_records=poll_records)
    return DetectorService(StreamSettings(partitions=1), store, settings, lambda: 1, engine)


def drain(running: DetectorService, log: Log, store: sa.Engine) -> None:
    """Turn until all is committed. A stall fails the test."""
    for _ in range(400):
        running.turn(log)
        with reading(store) as connection:
            if connection.scalar(sa.select(tables.shard.c.next_offset)) == len(log.records):
                return
    raise AssertionError("the shard stands still")


def results(store: sa.Engine) -> dict[str, list[Any]]:
    """Return all findings, without those on the loss itself and without offsets."""
    alert, event, rollup, resource = tables.alert, tables.event, tables.rollup, tables.resource
    about_calls = alert.c.resource_id != ""
    of_calls = event.c.alert_id.in_(sa.select(alert.c.id).where(about_calls))
    queries = {
        "alerts": sa.select(alert).where(about_calls).order_by(alert.c.id),
        # Not the body: an alert's count in it is as of the commit, and commits fall elsewhere.
        "events": sa.select(event.c.id, event.c.kind).where(of_calls).order_by(event.c.id),
        "rollups": sa.select(rollup).order_by(*rollup.primary_key.columns),
        "resources": sa.select(resource).order_by(resource.c.id),
    }
    with reading(store) as connection:
        return {name: [tuple(row) for row in connection.execute(query)] for name, query in queries.items()}


def quarantine(store: sa.Engine) -> list[tuple[int, str, bytes]]:
    table = tables.quarantine
    with reading(store) as connection:
        query = sa.select(table.c.record_offset, table.c.reason, table.c.value).order_by(table.c.record_offset)
        return [(row.record_offset, row.reason, bytes(row.value)) for row in connection.execute(query)]


def losses(store: sa.Engine) -> dict[str, int]:
    table = tables.counter
    with reading(store) as connection:
        rows = connection.execute(sa.select(table.c.name, table.c.value).where(table.c.kind == "loss"))
        return {row.name: row.value for row in rows}


def loss_alerts(store: sa.Engine) -> list[str]:
    with reading(store) as connection:
        return list(connection.scalars(sa.select(tables.alert.c.key).where(tables.alert.c.resource_id == "")))


class Broken:
    """Faults that one record causes, each in another stage."""

    @staticmethod
    def decode(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        original = vars(intake)["decode"]

        def decode(values: Sequence[bytes], appended: Any = None) -> Any:
            if any(BAD in value for value in values):
                raise error
            return original(values, appended)

        patch.setitem(vars(intake), "decode", decode)

    @staticmethod
    def columns(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        _before(patch, Columns, "_family", 1, error)

    @staticmethod
    def rules(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        _before(patch, CallVerdicts, "begin", 1, error)

    @staticmethod
    def verdicts(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        """Raise at the end of a run, after all other changes of the shard."""
        original = RunVerdict.judge

        def judge(self: Any, *given: Any) -> None:
            original(self, *given)
            if BAD in self._prepared.decoded.buffer.tobytes():
                raise error

        patch.setattr(RunVerdict, "judge", judge)

    @staticmethod
    def pending(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        Broken.mark(patch)
        original = PendingCommit.add

        def add(self: PendingCommit, findings: Any) -> set[str]:
            fired = original(self, findings)
            if any("poisonous" in one.facts for one in findings.seen):
                raise error
            return fired

        patch.setattr(PendingCommit, "add", add)

    @staticmethod
    def mark(patch: pytest.MonkeyPatch) -> None:
        """Break nothing. Add a fact that marks every effect of the record."""
        original_note = step._note_seen  # pyright: ignore[reportPrivateUsage]

        def note(prepared: Any, findings: Any) -> None:
            original_note(prepared, findings)
            if BAD in prepared.decoded.buffer.tobytes():
                findings.seen[-1].facts["poisonous"] = True

        patch.setattr(step, "_note_seen", note)


def _before(patch: pytest.MonkeyPatch, kind: type, name: str, at: int, error: BaseException) -> None:
    original = getattr(kind, name)

    def broken(*given: Any) -> Any:
        if BAD in given[at].decoded.buffer.tobytes():
            raise error
        return original(*given)

    patch.setattr(kind, name, broken)


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


def test_loads_of_an_idle_shard_do_not_count_as_deaths(engine: Engine, stores: Callable[[], sa.Engine]) -> None:
    """Failure that taught it: a rebalance loaded an empty partition, and its first 2 000 were judged one by one."""
    good, _ = history()
    store = stores()
    for _ in range(2 * isolation.LOADS_BEFORE_CARE):
        service(store, engine).turn(Recorded([]))
    running, log = service(store, engine), Recorded(good)
    running.turn(log)
    with reading(store) as connection:
        assert connection.scalar(sa.select(tables.shard.c.next_offset)) == len(log.records)
        commits = connection.scalar(sa.select(tables.shard.c.seq)) or 0
    assert 0 < commits < len(log.records) // 2  # otherwise one per record


def is_away(*_: object) -> attempts.Attempts:
    raise StoreUnavailable("the store is away")


def test_load_counts_despite_a_store_outage_at_its_start(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = history()
    store = stores()
    running, log, judging = service(store, engine), Recorded(good), attempts.count_load
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "count_load", is_away)
        running.attempt(log, threading.Event())
    found: list[int] = []
    monkeypatch.setattr(attempts, "count_load", lambda *given: found.append(1) or judging(*given))
    running.attempt(log, threading.Event())
    assert found == [1]


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


class Dies(BaseException):
    """The simulated end of the process."""


def test_record_that_kills_its_detector_is_eventually_quarantined(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = history(60)
    undisturbed, store = stores(), stores()
    drain(service(undisturbed, engine), Recorded(good), undisturbed)
    Broken.verdicts(monkeypatch, Dies())
    deaths = 0
    while True:
        try:
            drain(service(store, engine), Recorded(bad), store)
            break
        except Dies:
            deaths += 1
            assert deaths < 20, "each start dies at the same record"
    assert [(60, isolation.KILLED, bad[60][0])] == quarantine(store)
    # The first death ended a detector that had committed since its load.
    assert deaths == 1 + isolation.LOADS_BEFORE_CARE + isolation.TRIES_OF_A_RECORD
    assert results(undisturbed) == results(store)


def test_unrelated_deaths_quarantine_no_record(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty kills at random places. None of the records being judged is to blame."""
    good, _ = history()
    undisturbed, store = stores(), stores()
    drain(service(undisturbed, engine), Recorded(good), undisturbed)
    source = np.random.default_rng(7)
    left = 20
    original = RunVerdict.judge

    def judge(self: Any, *given: Any) -> None:
        nonlocal left
        original(self, *given)
        if left and source.random() < 0.1:
            left -= 1
            raise Dies

    monkeypatch.setattr(RunVerdict, "judge", judge)
    while True:
        try:
            drain(service(store, engine), Recorded(good), store)
            break
        except Dies:
            continue
    assert left == 0
    assert quarantine(store) == []
    assert results(undisturbed) == results(store)


def test_deaths_in_the_commit_quarantine_no_record(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = history()
    store, left = stores(), 20
    original = shards.commit

    def commit(*given: Any, **more: Any) -> None:
        nonlocal left
        if left:
            left -= 1
            raise Dies
        original(*given, **more)

    monkeypatch.setattr(shards, "commit", commit)
    while True:
        try:
            drain(service(store, engine), Recorded(good), store)
            break
        except Dies:
            continue
    assert left == 0
    assert quarantine(store) == []


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
