"""Shard state over restarts, releases and decisions. A fault stays within its detector."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, SettingError
from backwatch.detector.detectors import Detector
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import Decision, Loss, ModelVersion, Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.state import snapshot as state_snapshot
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.engine.counting import (
    HOUR,
    Counting,
    Failing,
    Forgetful,
    Moved,
    Other,
    Short,
    Wider,
    make_small_engine,
)
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
RULE = "tls-stripped"


def entry(count: int, at: int = 0, session: Mapping[str, Any] = SAFE) -> Any:
    calls = [Call(START_NS + (at + i) * SECOND, session, statement("SELECT ?")) for i in range(count)]
    return streams.entry(streams.records(calls), at)


def counts(shard: Shard, name: str = "counting", space: str = "resource") -> int:
    return int(shard.spaces[space].tables[name]["calls"].sum())


@pytest.fixture
def chain() -> list[bytes]:
    """Return a snapshot and two deltas of an engine with two detectors."""
    engine = make_small_engine(Counting, Other)
    shard = engine.new_shard()
    engine.step(shard, entry(3))
    shard.delta()
    blobs = [shard.snapshot()]
    for at in (3, 6):
        engine.step(shard, entry(3, at))
        blobs.append(shard.delta())
    return blobs


def load_state(blobs: Sequence[bytes], *kinds: type[Detector]) -> Shard:
    shard = make_small_engine(*kinds).new_shard()
    shard.apply(blobs)
    return shard


def test_snapshot_and_deltas_restore_the_state(chain: list[bytes]) -> None:
    shard = load_state(chain, Counting, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (9, 9, 9)
    assert shard.scalars.watermark_ns > 0
    assert shard.resources == {1: ("shop", "postgresql", "db.internal:5432", "shop")}


def test_delta_already_in_the_snapshot_changes_nothing(chain: list[bytes]) -> None:
    assert counts(load_state([chain[0], *chain[1:], chain[2]], Counting, Other)) == 9


def test_new_field_starts_at_zero_and_others_stay(chain: list[bytes]) -> None:
    shard = load_state(chain, Wider, Other)
    assert (counts(shard), shard.spaces["resource"].tables["counting"]["more"].sum()) == (9, 0)


def test_new_version_migrates_every_blob(chain: list[bytes]) -> None:
    shard = load_state(chain, Moved, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (90, 9, 9)
    assert shard.relearning == []


def test_detector_without_migration_alone_relearns_completely(chain: list[bytes]) -> None:
    shard = load_state(chain, Forgetful, Other)
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (0, 0, 9)
    assert set(shard.relearning) == {"counting"}


def test_relearnt_state_survives_the_next_restart(chain: list[bytes]) -> None:
    engine = make_small_engine(Forgetful, Other)
    shard = engine.new_shard()
    shard.apply(chain)
    engine.step(shard, entry(4, 9))
    again = load_state([*chain, shard.delta()], Forgetful, Other)
    assert (counts(again), counts(again, "counting_site", "site"), counts(again, "other")) == (4, 4, 13)


def test_only_a_removed_detector_is_dropped(chain: list[bytes]) -> None:
    shard = load_state(chain, Other)
    assert counts(shard, "other") == 9
    assert not any("counting" in section.name for section in state_snapshot.unpack(shard.snapshot())[0])


def test_blob_with_any_damaged_byte_is_refused(chain: list[bytes]) -> None:
    blob = chain[0]
    for at in range(0, len(blob), max(1, len(blob) // 60)):
        for bad in (blob[:at], blob[:at] + bytes([blob[at] ^ 0x40]) + blob[at + 1 :]):
            with pytest.raises(state_snapshot.CorruptState):
                load_state([bad], Counting, Other)


@pytest.mark.parametrize("kind", [Failing, Short])
def test_failing_detector_is_rolled_back_and_named_while_others_continue(kind: type[Detector]) -> None:
    engine = make_small_engine(kind, Other)
    shard = engine.new_shard()
    findings = engine.step(shard, entry(5))
    assert {one for one, _ in findings.faults} == {"counting"}
    assert (counts(shard), counts(shard, "counting_site", "site"), counts(shard, "other")) == (0, 0, 5)


def test_newer_model_replaces_the_older_one_over_a_restart() -> None:
    engine = make_small_engine(Counting)
    shard = engine.new_shard()
    blobs: list[bytes] = []
    for arrays in ({"a": np.arange(3), "b": np.arange(2)}, {"a": np.arange(5)}):
        engine.step(shard, ModelVersion("counting", "00", arrays))
        blobs.append(shard.delta())
    again = load_state(blobs, Counting)
    assert {name: array.tolist() for name, array in again.models["counting"].items()} == {"a": [0, 1, 2, 3, 4]}


def list_fired(findings: Findings) -> list[tuple[str, str]]:
    return [(one.rule.name, one.alert_id) for one in findings.events if isinstance(one, Firings)]


def test_acceptance_ends_at_the_same_call_in_any_batching() -> None:
    engine = make_small_engine()
    alert = dict(list_fired(engine.step(engine.new_shard(), entry(1, 0, PLAIN))))[RULE]
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
    engine = make_small_engine()
    findings = engine.step(engine.new_shard(), Loss("dropped.queue", 7, START_NS, "shop\x1fdropped.queue"))
    (one,) = findings.iter_findings()
    assert findings.losses == {"dropped.queue": 7}
    assert (one.rule.name, one.key.text.count("\x1f")) == ("telemetry-loss", 2)


def test_finding_clears_only_after_a_call_without_it() -> None:
    engine = make_small_engine()
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
        engine = make_small_engine()
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


def test_lateness_beyond_the_open_windows_is_refused(store: sa.Engine) -> None:
    with pytest.raises(SettingError, match="BACKWATCH_DETECTOR_LATENESS_S=361: must be at most 360"):
        engine_for(store, DetectorSettings(lateness_s=361))
