"""Rules over closed windows in the whole engine, with matching names for window sums."""

import random

import pytest

from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Finding
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.step import EngineConfig
from backwatch.detector.engine.verdicts import Verdicts
from tests.detector import streams

MINUTE_NS = 60 * 10**9


def find_raised(more: list[streams.Call]) -> list[Finding]:
    """Return the rules that a quiet day and these calls raise."""
    engine = make_engine(EngineConfig(key=b"a key of 16 byte"))
    shard = engine.new_shard()
    records = streams.records([*streams.quiet(random.Random(3), 3_000), *more], 16)
    found = [
        finding
        for at in range(0, len(records), 64)
        for finding in engine.step(shard, streams.entry(records[at : at + 64], at)).iter_findings()
    ]
    last = max(appended for _, appended, _ in records)
    return [*found, *engine.step(shard, Tick(last + 5 * MINUTE_NS)).iter_findings()]


def burst(count: int, rows: int) -> list[streams.Call]:
    """Return calls of a known statement within one minute, after the quiet day."""
    begin = (streams.START_NS + 3_000 * 20 * 10**9) // MINUTE_NS * MINUTE_NS + 2 * MINUTE_NS
    facts = streams.statement("SELECT id, total FROM orders WHERE customer_id = ?", rows=rows)
    return [streams.Call(begin + i * 10**8, streams.SAFE, facts) for i in range(count)]


def test_minute_far_above_the_usual_volume_is_a_spike() -> None:
    found = [spike for spike in find_raised(burst(500, 400)) if spike.rule.name == "volume-spike"]
    assert len(found) == 1
    assert found[0].evidence["rows_returned"] == 200_000
    assert found[0].evidence["calls"] == 500
    assert found[0].trace_id == ""


def test_minute_of_usual_volume_is_no_spike() -> None:
    assert [spike for spike in find_raised(burst(3, 10)) if spike.rule.name == "volume-spike"] == []


def test_windows_closed_at_once_are_each_judged_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[tuple[int, int]] = []
    monkeypatch.setattr(
        Verdicts, "judge_windows",
        lambda _verdicts, shard, closed, *_: judged.append((shard.scalars.boundary_ns, int(closed.end_ns[0]))),
    )  # fmt: skip
    engine = make_engine(EngineConfig())
    shard = engine.new_shard()
    calls = list(streams.quiet(random.Random(3), 9))  # of three minutes, all within the lateness allowed
    engine.step(shard, streams.entry([(streams.encode(calls), calls[-1].end_ns, False)]))
    engine.step(shard, Tick(calls[-1].end_ns + 120 * MINUTE_NS))
    assert len(judged) >= 3
    assert [boundary_ns for boundary_ns, _ in judged] == [end_ns for _, end_ns in judged]
