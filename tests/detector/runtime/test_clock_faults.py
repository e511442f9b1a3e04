"""A partition whose time stands still is reported as stalled. Its windows never close."""

import random
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Record
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import service
from backwatch.detector.runtime.lag import CALM_NS, CLOCK_STOPPED, RULE
from backwatch.detector.runtime.progress import ProgressBoard
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.monitoring.incidents import PARTITION_STALLED, find_incidents
from backwatch.store.progress import read_progress
from backwatch.store.transactions import reading, writing
from tests.conftest import ROOT
from tests.detector import streams
from tests.detector.identity.test_identities import past
from tests.detector.runtime.rows import alerts
from tests.detector.runtime.test_progress import Clock, S
from tests.detector.runtime.test_service_entries import Log
from tests.system.commands import run_command


def incidents(store: sa.Engine, now_ns: int) -> list[str]:
    with reading(store) as connection:
        found = find_incidents(read_progress(connection), [], now_ns)
    return [f"{one.kind} {one.reason}" for one in found]


def test_shard_with_a_clock_ahead_is_reported_and_can_be_reset(
    engine: Engine, store: sa.Engine, tmp_path: Path
) -> None:
    """State left by a version that trusted a timestamp from the future."""
    now_ns, decades_ns = time.time_ns(), 10**18
    source, log = random.Random(5), Log()
    found = streams.records(list(streams.quiet(source, 40, now_ns - 40 * 20 * S)))
    forged = streams.records([replace(next(streams.quiet(source, 1)), end_ns=now_ns + decades_ns)])
    log.records = [
        Record(0, offset, appended, value) for offset, (value, appended, _) in enumerate([*found[:20], *forged, *found])
    ]

    def judge(until: int) -> DetectorService:
        running = DetectorService(
            StreamSettings(partitions=1), store, DetectorSettings(commit_interval_s=0), engine=engine
        )
        part = Log()
        part.records = log.records[:until]
        running.turn(part)
        running.turn(part)
        return running

    def status() -> str:
        return run_command("db", "status", BACKWATCH_STORE_URL=f"sqlite:///{tmp_path / 'store.db'}").out

    judge(20)
    assert "CLOCK AHEAD" not in status()
    judge(21)
    assert "CLOCK AHEAD: shard 0 stands at 20" in status()
    chapter = (ROOT / "docs" / "operations.md").read_text().partition("## When a shard's clock is ahead")[2]
    with writing(store) as connection:
        for statement in chapter.partition("```sql\n")[2].partition("```")[0].strip().splitlines():
            connection.exec_driver_sql(re.sub(r"= 3;", "= 0;", statement))
    assert "CLOCK AHEAD" not in status()
    last = judge(len(log.records))._owned[0]
    assert last.next_offset == len(log.records)
    assert now_ns - 3_600 * S < last.watermark_ns <= time.time_ns()
    with reading(store) as connection:
        counters = {row.name: row.value for row in connection.execute(sa.select(tables.counter))}
    assert counters["calls"] == 20 + 1 + len(found)


def test_ticks_that_always_fail_raise_a_critical_alert_until_time_passes(
    engine: Engine, store: sa.Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "OBSERVE_EVERY_S", 0.0)
    monkeypatch.setattr(service, "TICK_AGAIN_S", 0.0)
    step, broken = Engine.step, [True]

    def failing(self: Engine, shard: Any, entry: Any) -> Any:
        if broken and isinstance(entry, Tick):
            raise KeyError("text of an attacker")
        return step(self, shard, entry)

    monkeypatch.setattr(Engine, "step", failing)
    clock, log = Clock(), Log()
    log.holds(past(count=5))
    clock.now_ns = log.records[-1].appended_ns + 3_600 * S
    settings = DetectorSettings(commit_interval_s=0)
    running = DetectorService(StreamSettings(partitions=1), store, settings, clock.wall_ns, engine)
    rule = next(one for one in engine.rules.rules if one.name == RULE)
    board = ProgressBoard(store, [running.progress], rule, clock.wall_ns)

    def passes(seconds: int) -> None:
        for _ in range(seconds):
            clock.passes(S)
            running.turn(log)
            board.write()

    passes(70)
    (alert,) = alerts(store, RULE)
    assert (alert.raised, alert.level) == (True, "critical")
    assert f"{CLOCK_STOPPED}: KeyError in failing" in alert.evidence
    (incident,) = incidents(store, clock.now_ns)
    assert incident.startswith(f"{PARTITION_STALLED} {CLOCK_STOPPED}: KeyError")
    assert len([one for one in caplog.messages if CLOCK_STOPPED in one and "trying again" in one]) == 1
    assert "attacker" not in caplog.text + alert.evidence
    broken.clear()
    passes(3 + CALM_NS // S)
    assert [one.raised for one in alerts(store, RULE)] == [False]
    assert incidents(store, clock.now_ns) == []
