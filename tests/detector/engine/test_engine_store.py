"""The engine's state in a store: episodes, acceptances, losses, offsets, clearing."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.facts.loss import LOSS_COUNT, LOSS_KIND
from backwatch.collector.settings import DetectorSettings
from backwatch.collector.stream import Record
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import decisions, entries, queries, tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading, writing
from tests.detector import streams
from tests.detector.engine.counting import HOUR, Failing, make_small_engine
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
RULE = "tls-stripped"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'store.db'}", check=False)
    upgrade(engine)
    yield engine
    engine.dispose()


def make_worker(engine: Engine, store: sa.Engine) -> ShardWorker:
    return ShardWorker(0, engine, store, DetectorSettings())


def records(session: Mapping[str, Any], at_s: int, offset: int, count: int = 1) -> list[Record]:
    calls = [Call(START_NS + (at_s + i) * SECOND, session, statement("SELECT ?")) for i in range(count)]
    return [
        Record(0, offset + i, appended, value, None, backfill)
        for i, (value, appended, backfill) in enumerate(streams.records(calls))
    ]


def alert_row(store: sa.Engine, rule: str) -> Any:
    with reading(store) as connection:
        return connection.execute(sa.select(tables.alert).where(tables.alert.c.rule == rule)).mappings().one()


def test_cleared_alert_that_fires_again_is_a_new_episode(store: sa.Engine) -> None:
    owner = make_worker(make_small_engine(), store)
    hour = 3_700
    for at, session in enumerate((PLAIN, SAFE, SAFE, PLAIN)):
        owner.take(records(session, at * hour, at), 0)
    assert owner.commit(1)
    row = alert_row(store, RULE)
    assert (row["episode"], row["raised"], row["count"]) == (2, True, 2)


def test_acceptance_and_its_revocation_hold_over_restarts(store: sa.Engine) -> None:
    engine = make_small_engine()
    owner = make_worker(engine, store)
    owner.take(records(PLAIN, 0, 0), 0)
    owner.commit(1)
    alert = str(alert_row(store, RULE)["id"])
    decisions.decide(store, alert, "accept", by="ada", now_ns=2)
    for restart, (kind, expected) in enumerate([("", 1), ("revoke", 2)]):
        if kind:
            decisions.decide(store, alert, kind, by="ada", now_ns=3)
        owner = make_worker(engine, store)
        owner.take_entries()
        owner.commit(4)
        owner = make_worker(engine, store)
        owner.take(records(PLAIN, 10 + restart, 1 + restart), 0)
        owner.commit(5)
        assert alert_row(store, RULE)["count"] == expected
    assert alert_row(store, RULE)["episode"] == 2


def test_occurrence_ring_keeps_the_newest_in_order(store: sa.Engine) -> None:
    owner = make_worker(make_small_engine(), store)
    for turn in range(3):
        owner.take(records(PLAIN, turn * 40, turn * 40, 40), 0)
        owner.commit(1)
    alert = alert_row(store, RULE)["id"]
    with reading(store) as connection:
        table = tables.occurrence
        found = connection.execute(
            sa.select(table.c.number, table.c.time_ns).where(table.c.alert_id == alert).order_by(table.c.number)
        ).all()
    assert [row.number for row in found] == list(range(71, 121))
    assert [row.time_ns for row in found] == [START_NS + i * SECOND for i in range(70, 120)]


def test_records_without_calls_advance_the_offset_durably(store: sa.Engine) -> None:
    engine = make_small_engine()
    owner = make_worker(engine, store)
    owner.take([Record(0, i, START_NS, streams.encode([]), None, False) for i in range(5)], 0)
    assert owner.has_work
    owner.commit(1)
    assert make_worker(engine, store).next_offset == 5


def test_repeatedly_failing_detector_is_counted_each_time_and_named_once(
    store: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make_worker(make_small_engine(Failing), store)
    for at in range(5):
        owner.take(records(SAFE, at, at), 0)
    owner.apply(Tick(START_NS + HOUR))
    owner.commit(1)
    assert len([one for one in caplog.records if "counting failed (RuntimeError)" in one.message]) == 1
    with reading(store) as connection:
        assert queries.health(connection).losses == {"detector.counting": 5}


def test_failing_detector_raises_an_alert_on_unjudged_calls(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_small_engine()
    failing = next(one for one in engine.detectors if one.provides)
    monkeypatch.setattr(type(failing), "facts", Failing.facts)
    owner = make_worker(engine, store)
    owner.take(records(SAFE, 0, 0), 0)
    owner.apply(Tick(START_NS + HOUR))
    owner.commit(1)
    evidence = json.loads(alert_row(store, "telemetry-loss")["evidence"])
    assert (evidence[LOSS_KIND], evidence[LOSS_COUNT]) == (f"detector.{failing.id}", 1)


def test_loss_counted_elsewhere_raises_an_alert_and_is_not_recounted(store: sa.Engine) -> None:
    with writing(store) as connection:
        body = {"kind": "delivery.expired", "count": 3, "time_ns": START_NS}
        entries.append(connection, "loss", body, START_NS, "notify")
    owner = make_worker(make_small_engine(), store)
    owner.take_entries()
    owner.commit(1)
    assert alert_row(store, "telemetry-loss")["count"] == 1
    with reading(store) as connection:
        assert queries.health(connection).losses == {}


def test_texts_that_databases_refuse_stop_no_commit(store: sa.Engine) -> None:
    owner = make_worker(make_small_engine(), store)
    hostile = "a\x00b\x1f\x1e\x1b[2J"
    session = {**PLAIN, names.DB_NAMESPACE: hostile, names.ACCOUNT: hostile, names.SERVER_VERSION: hostile * 9_000}
    owner.take(records(session, 0, 0), 0)
    owner.take([replace(records(SAFE, 1, 1)[0], value=b"\xff\x00" * 50)], 0)
    assert owner.commit(1)
    assert "\x00" not in alert_row(store, RULE)["resource"]


def test_damaged_shard_state_is_reported_in_one_line(store: sa.Engine) -> None:
    owner = make_worker(make_small_engine(), store)
    owner.take(records(SAFE, 0, 0), 0)
    owner.commit(1)
    with writing(store) as connection:
        connection.execute(sa.update(tables.shard_delta).values(blob=b"BWS1 not what was written"))
    with pytest.raises(StoreUnavailable, match=r"^shard 0: a state blob is damaged.*restore"):
        make_worker(make_small_engine(), store)
