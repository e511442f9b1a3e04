"""Requirements of every detector, checked against each file of the folder."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from backwatch.detector import detectors
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.lateness import LATENESS
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.engine.windows import WINDOWS
from backwatch.detector.identity import identity_snapshot
from backwatch.detector.rules import rulebook
from backwatch.detector.state.keys import RESOURCE, SITE, SITE_STATEMENT, STATEMENT
from backwatch.store.commit import ClearedAlert
from tests.detector import streams

FindingText = tuple[str, ...]
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=3_600 * 10**9)

every_detector = pytest.mark.parametrize("kind", list(detectors.discover()), ids=lambda kind: kind.id)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(CONFIG)


def texts_of(findings: Findings) -> list[FindingText]:
    """Return the findings, in order, as comparable text."""
    found: list[FindingText] = []
    for event in findings.events:
        if isinstance(event, ClearedAlert):
            found.append(("clear", event.alert_id, str(event.time_ns)))
        else:
            found += [
                (
                    one.rule.name,
                    one.alert_id,
                    str(one.time_ns),
                    one.span_id,
                    str(sorted(one.evidence.items())),
                    one.level,
                )
                for one in event.iter_findings()
            ]
    return found


def run(
    engine: Engine, found: Sequence[tuple[bytes, int, bool]], size: int, again: Callable[[Shard], Shard]
) -> list[FindingText]:
    """Return all findings of a stream in log entries of ``size`` records; ``again`` gets the shard after each."""
    shard, texts = engine.new_shard(), list[FindingText]()
    for at in range(0, len(found), size):
        texts += texts_of(engine.step(shard, streams.entry(found[at : at + size], at)))
        shard = again(shard)
    last = max(appended for _, appended, _ in found)
    texts += texts_of(engine.step(shard, Tick(last + 86_400 * 10**9)))
    # Within one instant the order of alerts may depend on the batch; the times of findings may not.
    return sorted(texts, key=lambda one: (one[2], one))


@pytest.fixture(scope="module", params=["backfill", "live"])
def stream(request: pytest.FixtureRequest) -> list[tuple[bytes, int, bool]]:
    return streams.records(streams.eventful(), backfill=request.param == "backfill")


@pytest.fixture(scope="module")
def reference(engine: Engine, stream: list[tuple[bytes, int, bool]]) -> list[FindingText]:
    return run(engine, stream, 512, lambda shard: shard)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_findings_do_not_depend_on_the_batch_size(
    engine: Engine, stream: list[tuple[bytes, int, bool]], reference: list[FindingText], size: int
) -> None:
    assert reference == run(engine, stream, size, lambda shard: shard)


def test_a_detector_goes_on_from_a_snapshot_where_it_stopped(
    engine: Engine, stream: list[tuple[bytes, int, bool]], reference: list[FindingText]
) -> None:
    def restarted(shard: Shard) -> Shard:
        fresh = engine.new_shard()
        fresh.apply([shard.snapshot()])
        return fresh

    assert reference == run(engine, stream, 7, restarted)


def test_a_detector_goes_on_from_deltas_where_it_stopped(
    engine: Engine, stream: list[tuple[bytes, int, bool]], reference: list[FindingText]
) -> None:
    deltas: list[bytes] = []

    def restarted(shard: Shard) -> Shard:
        deltas.append(shard.delta())
        fresh = engine.new_shard()
        fresh.apply(deltas)
        return fresh

    assert reference == run(engine, stream, 64, restarted)


def test_the_eventful_stream_wakes_most_rules(engine: Engine, reference: list[FindingText]) -> None:
    fired = {one[0] for one in reference}
    assert {
        "tls-stripped", "certificate-changed", "bulk-read", "query-attack", "statement-runs-program", "hostile-payload",
        "local-file-request", "server-changed", "auth-downgraded", "topology-changed", "slow-response", "error-storm",
        "login-failures", "clear",
    } <= fired  # fmt: skip


def test_a_quiet_day_stays_quiet(engine: Engine) -> None:
    calls = list(streams.quiet(random.Random(3), 3_000))
    assert run(engine, streams.records(calls, 16), 64, lambda shard: shard) == []


def test_all_tables_together_keep_to_the_memory_budget(engine: Engine) -> None:
    tables = [table for detector in engine.detectors for table in detector.tables]
    per_statement = sum(one.dtype.itemsize for one in tables if one.keys in (STATEMENT, SITE_STATEMENT))
    per_resource = sum(one.dtype.itemsize for one in (*tables, WINDOWS, LATENESS) if one.keys is RESOURCE)
    assert per_statement <= 96
    per_site = sum(one.dtype.itemsize for one in tables if one.keys is SITE)
    assert per_site <= 1_536
    assert per_resource + identity_snapshot.BYTES <= 8_192


@every_detector
def test_a_detector_is_called_as_its_rule_and_its_file_are(kind: type[detectors.Detector]) -> None:
    rule = next(one for one in rulebook.load().rules if one.name == kind.id)
    assert kind.__module__.rpartition(".")[2] == kind.id.replace("-", "_")
    assert rule.blind_spots
    assert rule.remediation
    assert any(tag.startswith("attack.t") for tag in rule.tags)


@every_detector
def test_a_detectors_tables_are_packed_and_little_endian(kind: type[detectors.Detector]) -> None:
    for table in kind.tables:
        assert table.dtype.names
        assert all(table.dtype[name].byteorder in "<|=" for name in table.dtype.names)
        assert np.dtype(table.dtype.descr) == table.dtype


def test_no_detector_changes_anything_but_its_tables(engine: Engine) -> None:
    found = streams.records(streams.eventful(2, 300))
    entry = streams.entry(found)
    before = [bytes(value) for value in entry.values]
    engine.step(engine.new_shard(), entry)
    assert before == list(entry.values)
