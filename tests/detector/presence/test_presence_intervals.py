"""Heartbeats with hostile announced intervals neither flood the alerts nor disable detection."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.decoding.heartbeats import MAX_INTERVAL_NS, MIN_INTERVAL_NS
from backwatch.detector.engine import presence
from backwatch.detector.engine.step import Engine
from backwatch.detector.presence import processes
from tests.detector.presence.test_presence import Beat, Process, Watch, by_restart, run
from tests.detector.streams import SECOND

LIMIT_S = presence.MAX_MISSED_HEARTBEATS * MAX_INTERVAL_NS // SECOND + 30
"""Time at which a process is missed after two heartbeat intervals, for any announced interval."""
PROMISES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.floats(), st.booleans(), st.text(max_size=20),
    st.sampled_from((0, 1, -1, 10**8, 10**18)),
)  # fmt: skip


def promise_interval(process: Process, at_s: float, promise: object) -> Beat:
    more: dict[str, Any] = {names.PROCESS_INTERVAL: promise}
    return process.beat(at_s, **more)


@settings(deadline=None, max_examples=25)
@given(PROMISES)
@example(1)
@example(0)
@example(-(10**18))
@example(10**18)
@example(float("nan"))
def test_no_announced_interval_disables_or_floods_detection(engine: Engine, promise: object) -> None:
    process, watch = Process(1), Watch(engine)
    found = watch.read([promise_interval(process, 15 * i, promise) for i in range(1, 121)], 1_800)
    assert len([rule for rule, _, _ in found if rule == "clear"]) <= processes.MAX_CLEARED + 1
    row = watch.shard.processes.rows[process.instance]
    assert MIN_INTERVAL_NS <= row.interval_ns <= MAX_INTERVAL_NS
    assert "watch-lost" in {rule for rule, _, _ in [*found, *watch.read([], 1_800 + LIMIT_S)]}
    assert row.state == processes.SILENT


@settings(deadline=None, max_examples=25)
@given(st.lists(PROMISES, min_size=1, max_size=8))
@example([10**18])
def test_longer_announced_interval_does_not_delay_silence(engine: Engine, promises: Sequence[object]) -> None:
    process, watch = Process(1), Watch(engine)
    assert watch.read(process.beats(0, 60), 60) == []
    later = [promise_interval(process, 75 + 15 * i, promise) for i, promise in enumerate(promises)]
    last_s = 60 + 15 * len(later)
    [(rule, _, at_s)] = watch.read(later, last_s + 60)
    assert (rule, at_s - last_s <= 56) == ("watch-lost", True)


def by_turns(rounds: int) -> list[Beat]:
    """Return a process that is active and silent in turns, beside one that runs."""
    found = list(Process(2, parent="a" * 16).beats(0, rounds * 120))
    for i in range(rounds):
        found += [Process(1, parent="a" * 16).beat(i * 120 + at_s) for at_s in (1, 16, 31, 46)]
    return found


def test_process_silent_in_turns_opens_few_alerts_and_stays_missed(engine: Engine) -> None:
    watch = Watch(engine)
    found = watch.read(by_turns(60), 7_200)
    assert len({alert for _, alert, _ in found}) == 1
    clears = [at_s for rule, _, at_s in found if rule == "clear"]
    assert processes.MAX_CLEARED <= len(clears) <= processes.MAX_CLEARED + 2
    assert watch.shard.processes.displaced or watch.shard.processes.raised


def test_alert_of_a_process_that_runs_steadily_again_clears_within_the_hour(engine: Engine) -> None:
    watch = Watch(engine)
    watch.read(by_turns(20), 2_400)
    found = watch.read([beat for one in (1, 2) for beat in Process(one, parent="a" * 16).beats(2_401, 6_100)], 6_100)
    assert found[-1][0] == "clear"
    assert watch.shard.processes.displaced == watch.shard.processes.raised == {}


@pytest.mark.parametrize(("size", "kind"), [(1, "none"), (50, "snapshot"), (31, "deltas")])
def test_any_batching_and_restart_holds_the_same_alerts_open(engine: Engine, size: int, kind: str) -> None:
    beats = sorted(by_turns(20), key=lambda beat: beat[1])
    reference = run(engine, beats, 512, by_restart(engine, "none"))
    assert len([rule for rule, _, _ in reference if rule == "clear"]) == processes.MAX_CLEARED
    assert reference == run(engine, beats, size, by_restart(engine, kind))
