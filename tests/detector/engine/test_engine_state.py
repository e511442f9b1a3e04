"""Shard state over restarts, releases and decisions. A fault stays within its detector."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.facts.loss import LOSS_COUNT, LOSS_KIND
from backwatch.collector.settings import DetectorSettings, SettingError
from backwatch.collector.stream import Record
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import Decision, Loss, ModelVersion, Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.detector.state import snapshot as state_snapshot
from backwatch.detector.state.keys import RESOURCE, SITE
from backwatch.detector.state.tables import Table
from backwatch.store import decisions, entries, queries, tables
from backwatch.store.commit import ClearedAlert
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading, writing
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

HOUR = 3_600 * SECOND
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=HOUR)
PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
RULE = "tls-stripped"
ROW = np.dtype([("calls", "<i8")])
WIDER = np.dtype([("calls", "<i8"), ("more", "<f8")])


class Counting(Detector):
    """Count calls per resource and per site."""

    id: ClassVar[str] = "counting"
    provides: ClassVar[tuple[str, ...]] = ("backwatch.counted",)
    tables: ClassVar[tuple[Table, ...]] = (Table("counting", RESOURCE, 1, ROW), Table("counting_site", SITE, 1, ROW))
    fails: ClassVar[bool] = False

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return the counts."""
        for table in self.tables:
            np.add.at(tables[table.name]["calls"], slot[table.keys.name], 1)
        if self.fails:
            raise RuntimeError
        return {"backwatch.counted": np.ones(calls.count)}


class Wider(Counting):
    """The next release, with one more field."""

    tables = (Table("counting", RESOURCE, 1, WIDER), Table("counting_site", SITE, 1, ROW))


class Moved(Counting):
    """A release that can read the older rows."""

    tables = (Table("counting", RESOURCE, 2, ROW), Table("counting_site", SITE, 1, ROW))

    def migrate(self, table: Table, rows: Any, from_version: int) -> Any:
        """Convert counts to tens."""
        assert (table.name, from_version) == ("counting", 1)
        rows["calls"] *= 10
        return rows


class Forgetful(Counting):
    """A release that cannot read the older rows."""

    tables = (Table("counting", RESOURCE, 2, ROW), Table("counting_site", SITE, 1, ROW))


class Other(Counting):
    """A second detector."""

    id = "other"
    provides = ("backwatch.other",)
    tables = (Table("other", RESOURCE, 1, ROW),)

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return a count too."""
        np.add.at(tables["other"]["calls"], slot[RESOURCE.name], 1)
        return {"backwatch.other": np.ones(calls.count)}


class Failing(Counting):
    """A detector that writes, then raises."""

    fails = True


class Short(Counting):
    """A detector that returns fewer facts than it declares."""

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return one value too few."""
        super().facts(calls, slot, tables, learn)
        return {"backwatch.counted": np.ones(calls.count - 1)}


def made(*kinds: type[Detector]) -> Engine:
    """Return an engine of these detectors without rules, or the shipped engine without arguments."""
    if not kinds:
        return make_engine(CONFIG)
    return Engine(CONFIG, [kind() for kind in kinds], RuleSet([], Vocabulary.of(kinds)))


def entry(count: int, at: int = 0, session: Mapping[str, Any] = SAFE) -> Any:
    calls = [Call(START_NS + (at + i) * SECOND, session, statement("SELECT ?")) for i in range(count)]
    return streams.entry(streams.records(calls), at)


def counts(shard: Shard, name: str = "counting", space: str = "resource") -> int:
    return int(shard.spaces[space].tables[name]["calls"].sum())


@pytest.fixture
def chain() -> list[bytes]:
    """Return a snapshot and two deltas of an engine with two detectors."""
    engine = made(Counting, Other)
    shard = engine.new_shard()
    engine.step(shard, entry(3))
    shard.delta()
    blobs = [shard.snapshot()]
    for at in (3, 6):
        engine.step(shard, entry(3, at))
        blobs.append(shard.delta())
    return blobs


def loaded(blobs: Sequence[bytes], *kinds: type[Detector]) -> Shard:
    shard = made(*kinds).new_shard()
    shard.apply(blobs)
    return shard


def test_snapshot_and_deltas_restore_the_state(chain: list[bytes]) -> None:
    shard = loaded(chain, Counting, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (9, 9, 9)
    assert shard.scalars.watermark_ns > 0
    assert shard.resources == {1: ("shop", "postgresql", "db.internal:5432", "shop")}


def test_delta_already_in_the_snapshot_changes_nothing(chain: list[bytes]) -> None:
    assert counts(loaded([chain[0], *chain[1:], chain[2]], Counting, Other)) == 9


def test_new_field_starts_at_zero_and_others_stay(chain: list[bytes]) -> None:
    shard = loaded(chain, Wider, Other)
    assert (counts(shard), shard.spaces["resource"].tables["counting"]["more"].sum()) == (9, 0)


def test_new_version_migrates_every_blob(chain: list[bytes]) -> None:
    shard = loaded(chain, Moved, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (90, 9, 9)
    assert shard.relearning == []


def test_detector_without_migration_alone_relearns_completely(chain: list[bytes]) -> None:
    shard = loaded(chain, Forgetful, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (0, 0, 9)
    assert set(shard.relearning) == {"counting"}


def test_relearnt_state_survives_the_next_restart(chain: list[bytes]) -> None:
    engine = made(Forgetful, Other)
    shard = engine.new_shard()
    shard.apply(chain)
    engine.step(shard, entry(4, 9))
    again = loaded([*chain, shard.delta()], Forgetful, Other)
    assert (counts(again), counts(again, "counting_site", "site"), counts(again, "other")) == (4, 4, 13)


def test_only_a_removed_detector_is_dropped(chain: list[bytes]) -> None:
    shard = loaded(chain, Other)
    assert counts(shard, "other") == 9
    assert not any("counting" in section.name for section in state_snapshot.unpack(shard.snapshot())[0])


def test_blob_with_any_damaged_byte_is_refused(chain: list[bytes]) -> None:
    blob = chain[0]
    for at in range(0, len(blob), max(1, len(blob) // 60)):
        for bad in (blob[:at], blob[:at] + bytes([blob[at] ^ 0x40]) + blob[at + 1 :]):
            with pytest.raises(state_snapshot.CorruptState):
                loaded([bad], Counting, Other)


@pytest.mark.parametrize("kind", [Failing, Short])
def test_failing_detector_is_rolled_back_and_named_while_others_continue(kind: type[Detector]) -> None:
    engine = made(kind, Other)
    shard = engine.new_shard()
    findings = engine.step(shard, entry(5))
    assert {one for one, _ in findings.faults} == {"counting"}
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (0, 0, 5)


def test_newer_model_replaces_the_older_one_over_a_restart() -> None:
    engine = made(Counting)
    shard = engine.new_shard()
    blobs: list[bytes] = []
    for arrays in ({"a": np.arange(3), "b": np.arange(2)}, {"a": np.arange(5)}):
        engine.step(shard, ModelVersion("counting", "00", arrays))
        blobs.append(shard.delta())
    again = loaded(blobs, Counting)
    assert {name: array.tolist() for name, array in again.models["counting"].items()} == {"a": [0, 1, 2, 3, 4]}


def fired(findings: Findings) -> list[tuple[str, str]]:
    return [(one.rule.name, one.alert_id) for one in findings.events if isinstance(one, Firings)]


def test_acceptance_ends_at_the_same_call_in_any_batching() -> None:
    engine = made()
    alert = dict(fired(engine.step(engine.new_shard(), entry(1, 0, PLAIN))))[RULE]
    observed: list[list[int]] = []
    for size in (1, 10):
        shard = engine.new_shard()
        engine.step(shard, Decision(1, "accept", alert, START_NS + 5 * SECOND))
        times: list[int] = []
        for at in range(0, 10, size):
            found = engine.step(shard, entry(size, at, PLAIN))
            times += [one.time_ns for one in found.iter_findings() if one.alert_id == alert]
        observed.append(times)
    assert observed[0] == observed[1] == [START_NS + i * SECOND for i in range(5, 10)]


def test_loss_is_counted_and_reported_for_its_app() -> None:
    engine = made()
    findings = engine.step(engine.new_shard(), Loss("dropped.queue", 7, START_NS, "shop\x1fdropped.queue"))
    (one,) = findings.iter_findings()
    assert findings.losses == {"dropped.queue": 7}
    assert (one.rule.name, one.key.text.count("\x1f")) == ("telemetry-loss", 2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'store.db'}", check=False)
    upgrade(engine)
    yield engine
    engine.dispose()


def owned(engine: Engine, store: sa.Engine) -> ShardWorker:
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
    owner = owned(made(), store)
    hour = 3_700
    for at, session in enumerate((PLAIN, SAFE, SAFE, PLAIN)):
        owner.take(records(session, at * hour, at), 0)
    assert owner.commit(1)
    row = alert_row(store, RULE)
    assert (row["episode"], row["raised"], row["count"]) == (2, True, 2)


def test_acceptance_and_its_revocation_hold_over_restarts(store: sa.Engine) -> None:
    engine = made()
    owner = owned(engine, store)
    owner.take(records(PLAIN, 0, 0), 0)
    owner.commit(1)
    alert = str(alert_row(store, RULE)["id"])
    decisions.decide(store, alert, "accept", by="ada", now_ns=2)
    for restart, (kind, expected) in enumerate([("", 1), ("revoke", 2)]):
        if kind:
            decisions.decide(store, alert, kind, by="ada", now_ns=3)
        owner = owned(engine, store)
        owner.take_entries()
        owner.commit(4)
        owner = owned(engine, store)
        owner.take(records(PLAIN, 10 + restart, 1 + restart), 0)
        owner.commit(5)
        assert alert_row(store, RULE)["count"] == expected
    assert alert_row(store, RULE)["episode"] == 2


def test_occurrence_ring_keeps_the_newest_in_order(store: sa.Engine) -> None:
    owner = owned(made(), store)
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
    engine = made()
    owner = owned(engine, store)
    owner.take([Record(0, i, START_NS, streams.encoded([]), None, False) for i in range(5)], 0)
    assert owner.has_work
    owner.commit(1)
    assert owned(engine, store).next_offset == 5


def test_repeatedly_failing_detector_is_counted_each_time_and_named_once(
    store: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    owner = owned(made(Failing), store)
    for at in range(5):
        owner.take(records(SAFE, at, at), 0)
    owner.apply(Tick(START_NS + HOUR))
    owner.commit(1)
    assert len([one for one in caplog.records if "counting failed (RuntimeError)" in one.message]) == 1
    with reading(store) as connection:
        assert queries.health(connection).losses == {"detector.counting": 5}


def test_failing_detector_raises_an_alert_on_unjudged_calls(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = made()
    failing = next(one for one in engine.detectors if one.provides)
    monkeypatch.setattr(type(failing), "facts", Failing.facts)
    owner = owned(engine, store)
    owner.take(records(SAFE, 0, 0), 0)
    owner.apply(Tick(START_NS + HOUR))
    owner.commit(1)
    evidence = json.loads(alert_row(store, "telemetry-loss")["evidence"])
    assert (evidence[LOSS_KIND], evidence[LOSS_COUNT]) == (f"detector.{failing.id}", 1)


def test_loss_counted_elsewhere_raises_an_alert_and_is_not_recounted(store: sa.Engine) -> None:
    with writing(store) as connection:
        body = {"kind": "delivery.expired", "count": 3, "time_ns": START_NS}
        entries.append(connection, "loss", body, START_NS, "notify")
    owner = owned(made(), store)
    owner.take_entries()
    owner.commit(1)
    assert alert_row(store, "telemetry-loss")["count"] == 1
    with reading(store) as connection:
        assert queries.health(connection).losses == {}


def test_texts_that_databases_refuse_stop_no_commit(store: sa.Engine) -> None:
    owner = owned(made(), store)
    hostile = "a\x00b\x1f\x1e\x1b[2J"
    session = {**PLAIN, names.DB_NAMESPACE: hostile, names.ACCOUNT: hostile, names.SERVER_VERSION: hostile * 9_000}
    owner.take(records(session, 0, 0), 0)
    owner.take([replace(records(SAFE, 1, 1)[0], value=b"\xff\x00" * 50)], 0)
    assert owner.commit(1)
    assert "\x00" not in alert_row(store, RULE)["resource"]


def test_finding_clears_only_after_a_call_without_it() -> None:
    engine = made()
    shard = engine.new_shard()
    engine.step(shard, entry(1, 0, PLAIN))
    waited = engine.step(shard, Tick(START_NS + 50 * HOUR))
    assert not any(isinstance(one, ClearedAlert) for one in waited.events)
    calls = [Call(START_NS + 50 * HOUR + SECOND, SAFE, statement("SELECT ?"))]
    engine.step(shard, streams.entry(streams.records(calls), 1))
    cleared = engine.step(shard, Tick(START_NS + 51 * HOUR))
    assert [one.time_ns for one in cleared.events if isinstance(one, ClearedAlert)]


def test_continuous_calls_do_not_delay_a_clear() -> None:
    found: list[list[int]] = []
    for size in (1, 7, 1_000):
        engine = made()
        shard = engine.new_shard()
        events = [*engine.step(shard, entry(1, 0, PLAIN)).events]
        calls = [Call(START_NS + at * SECOND, SAFE, statement("SELECT ?")) for at in range(10, 3_600 + 600, 10)]
        for begin in range(0, len(calls), size):
            log_entry = streams.entry(streams.records(calls[begin : begin + size], backfill=False), 1 + begin)
            events += engine.step(shard, log_entry).events
        found.append([one.time_ns - START_NS for one in events if isinstance(one, ClearedAlert)])
    assert len(found[0]) == 1
    assert HOUR <= found[0][0] <= HOUR + 20 * SECOND
    assert found[1:] == found[:2]


def test_damaged_shard_state_is_reported_in_one_line(store: sa.Engine) -> None:
    owner = owned(made(), store)
    owner.take(records(SAFE, 0, 0), 0)
    owner.commit(1)
    with writing(store) as connection:
        connection.execute(sa.update(tables.shard_delta).values(blob=b"BWS1 not what was written"))
    with pytest.raises(StoreUnavailable, match=r"^shard 0: a state blob is damaged.*restore"):
        owned(made(), store)


def test_lateness_beyond_the_open_windows_is_refused(store: sa.Engine) -> None:
    with pytest.raises(SettingError, match="BACKWATCH_DETECTOR_LATENESS_S=361: must be at most 360"):
        engine_for(store, DetectorSettings(lateness_s=361))
