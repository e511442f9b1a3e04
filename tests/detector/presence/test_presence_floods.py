"""Forged heartbeats: their cost, the alerts they raise, and the processes they displace."""

import time
from collections.abc import Callable, Sequence

import pytest

from backwatch.collector import names
from backwatch.detector.engine import verdicts
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from backwatch.detector.presence import processes
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.presence.test_presence import (
    BEGIN_NS,
    WEEK_S,
    Beat,
    Process,
    Watch,
    by_restart,
    eventful,
    hours,
    run,
)
from tests.detector.streams import CONFIG, SECOND

HOSTS = 8
BEATS = 64
RELATIVES = 16


@pytest.fixture
def watch(engine: Engine) -> Watch:
    return Watch(engine)


def step_s(engine: Engine, shard: Shard, beats: Sequence[Beat]) -> float:
    """Return the processor time of a step over these records."""
    begun_s = time.process_time()
    engine.step(shard, streams.entry(beats))
    return time.process_time() - begun_s


def forge_beats(begin: int, count: int, at_s: float) -> list[Beat]:
    """Return heartbeats of child processes, every second one reported silent immediately."""
    made = [
        Process(begin + i, app="evil", host=f"h{i % HOSTS}", parent=f"{10**9 + begin + i:016x}") for i in range(count)
    ]
    return [
        one.report(names.SILENT_RELATIVES, at_s, made[i - HOSTS]) if i % 16 >= HOSTS else one.beat(at_s, "start")
        for i, one in enumerate(made)
    ]


def reports(begin: int, at_s: float) -> list[Beat]:
    """Return heartbeats of new processes, each with the maximum of unknown relatives."""
    found: list[Beat] = []
    for number in range(begin, begin + BEATS):
        relatives = ",".join(f"{number * 100 + i:016x}:5:1:1" for i in range(RELATIVES))
        process = Process(number, app="evil", host=f"h{number % HOSTS}", parent=f"{10**10 + number:016x}")
        found.append(process.beat(at_s, "start", **{names.SILENT_RELATIVES: relatives}))
    return found


def test_heartbeats_cost_about_the_same_on_a_full_shard(engine: Engine) -> None:
    yardstick_s = min(step_s(engine, engine.new_shard(), reports(10**7, 10)) for _ in range(2))
    shard = engine.new_shard()
    for at in range(0, processes.MAX_PROCESSES, 512):
        engine.step(shard, streams.entry(forge_beats(at, 512, at / 1_000)))
    assert len(shard.processes.rows) == processes.MAX_PROCESSES
    assert step_s(engine, shard, reports(10**7, 10)) < 8 * yardstick_s
    assert len(shard.processes.rows) == processes.MAX_PROCESSES


def test_boundary_at_which_all_are_missed_costs_less_than_their_heartbeats(engine: Engine) -> None:
    shard = engine.new_shard()
    feed_s = 0.0
    fresh = [Process(10**6 + i, app="evil", host=f"h{i % HOSTS}", parent="f" * 16) for i in range(1_024)]
    old = [Process(i, app="evil", host=f"h{i % HOSTS}", parent=f"{10**9 + i:016x}") for i in range(3_000)]
    for at_s in (0, 15, 30, 45):
        feed_s += step_s(engine, shard, [one.beat(at_s) for one in old])
    for at_s in (46, 60, 75, 90, 99):
        feed_s += step_s(engine, shard, [one.beat(at_s) for one in fresh])
    begun_s = time.process_time()
    engine.step(shard, Tick(BEGIN_NS + 111 * SECOND - CONFIG.lateness_ns))
    assert time.process_time() - begun_s < feed_s
    states = [one.state for one in shard.processes.rows.values()]
    assert states.count(processes.RUNNING) == len(fresh)


def test_processes_of_one_host_keep_their_bound(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_ON_HOST", 20)
    shard = engine.new_shard()
    flood = [Process(i, host="flooded").beat(100 + i / 100, "start") for i in range(100)]
    engine.step(shard, streams.entry([*Process(10**6, host="other").beats(0, 90), *flood]))
    assert sorted(row.host for row in shard.processes.rows.values()) == ["flooded"] * 20 + ["other"]


def test_forged_names_raise_few_alerts_and_each_that_is_displaced_clears(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 64)
    monkeypatch.setattr(verdicts, "MAX_PROCESS_ALERTS", 100)
    shard = engine.new_shard()
    is_open: set[str] = set()
    raised: set[str] = set()
    for i in range(400):
        evil = Process(2 * i, app=f"evil{i % 50}", host=f"h{i}")
        beat = evil.report(names.SILENT_RELATIVES, i / 100, Process(2 * i + 1), delivered=True)
        for event in engine.step(shard, streams.entry([beat], i)).events:
            if isinstance(event, Firings) and event.rule.name == "watch-lost":
                raised.add(event.alert_id)
                is_open.add(event.alert_id)
            elif isinstance(event, ClearedAlert):
                is_open.discard(event.alert_id)
    kept = shard.processes
    assert len(raised) == 101
    assert len(kept.raised) <= len(kept.rows) == 64
    assert is_open == {one for alerts in kept.raised.values() for one in alerts}


def test_alert_that_many_processes_share_clears_with_the_last_of_them(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "MAX_PROCESS_ALERTS", 1)
    hosts = [Process(i, host=f"h{i}") for i in range(3)]
    raised = watch.read([beat for one in hosts for beat in one.beats(0, 120)], 300)
    assert len({alert for _, alert, _ in raised}) == 2
    own, shared, _ = (alert for _, alert, _ in raised)
    assert watch.read([hosts[1].beat(310)], 311) == []
    assert watch.read([hosts[2].beat(312), hosts[0].beat(313)], 314) == [("clear", shared, 312), ("clear", own, 313)]


def test_silent_process_that_is_heard_on_another_host_clears_its_alert(watch: Watch) -> None:
    [(_, alert, _)] = watch.read(Process(1, host="a").beats(0, 120), 300)
    assert watch.read([Process(1, host="b").beat(310)], 320) == [("clear", alert, 310)]
    assert watch.shard.processes.raised == {}


def make_missed_app(engine: Engine) -> tuple[Watch, str]:
    """Return an app with a usual hour that is missed in the fourth week, and its alert."""
    watch = Watch(engine)
    for one in hours(3, farewell=True):
        watch._step(streams.entry([one]))
    watch._now_ns = BEGIN_NS + 3 * WEEK_S * SECOND
    [(rule, alert, _)] = watch.read([], 3 * WEEK_S + 3_900)
    assert rule == "app-ended"
    return watch, alert


def test_flood_of_apps_displaces_none_that_has_usual_hours(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_APPS", 2)
    watch, alert = make_missed_app(engine)
    at_s = 3 * WEEK_S + 3_905
    flood = [Process(i, app=f"other{i}").beat(at_s + i / 100) for i in range(50)]
    assert ("clear", alert) not in {(rule, one) for rule, one, _ in watch.read(flood, at_s + 30)}
    assert [one["backwatch.loss.count"] for one in watch.evidence if "backwatch.loss.count" in one] == [49]
    assert sorted(watch.shard.processes.apps) == ["other49", "shop"]


def test_new_app_is_not_learnt_where_all_have_usual_hours(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_APPS", 1)
    watch, alert = make_missed_app(engine)
    at_s = 3 * WEEK_S + 3_905
    watch.read([Process(9, app="other").beat(at_s)], at_s + 30)
    assert list(watch.shard.processes.apps) == ["shop"]
    assert watch.read([Process(1).beat(at_s + 40)], at_s + 41) == [("clear", alert, at_s + 40)]


def test_app_not_heard_for_a_month_makes_room_and_its_alert_clears(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_APPS", 1)
    watch, alert = make_missed_app(engine)
    at_s = 8 * WEEK_S
    watch._now_ns = BEGIN_NS + at_s * SECOND
    assert watch.read([Process(9, app="other").beat(at_s)], at_s) == [("clear", alert, at_s)]
    assert list(watch.shard.processes.apps) == ["other"]


def test_flood_of_app_names_leaves_known_hours_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_APPS", 8)
    watch = Watch(engine)
    for one in hours(3, farewell=True):
        watch._step(streams.entry([one]))
    watch._now_ns = BEGIN_NS + 3 * WEEK_S * SECOND
    flood = [Process(100 + i, app=f"flood {i}").beat(3 * WEEK_S + 10 + i, "start") for i in range(40)]
    found = watch.read(flood, 3 * WEEK_S + 3_900)
    assert "app-ended" in {rule for rule, _, _ in found}
    assert len(watch.shard.processes.apps) == 8


def test_state_of_an_older_release_clears_what_it_left_raised(engine: Engine) -> None:
    shard = engine.new_shard()
    engine.step(shard, streams.entry(Process(1).beats(0, 60)))
    kept = shard.processes.scalars(everything=True)["presence"]
    del kept["late"], kept["folds"], kept["evicted"], kept["evicted_apps"]
    kept["raised"] = {processes.key_of("shop", "gone", processes.SILENT): ["0" * 64]}
    fresh = engine.new_shard()
    fresh.processes.take(kept)
    found = engine.step(fresh, streams.entry([Process(1).beat(71)]))
    assert [one.alert_id for one in found.events if isinstance(one, ClearedAlert)] == ["0" * 64]


Loss = tuple[str, int]


def losses(engine: Engine, beats: Sequence[Beat], size: int, kind: str) -> list[Loss]:
    shard, again, found = engine.new_shard(), by_restart(engine, kind), list[Loss]()
    for at in range(0, len(beats), size):
        for event in engine.step(shard, streams.entry(beats[at : at + size], at)).events:
            if isinstance(event, Firings) and event.evidence.get("backwatch.loss.kind") == "evicted.process":
                found.append((str(event.evidence["backwatch.loss.count"]), int(event.times[0])))
        shard = again(shard)
    return found


@pytest.mark.parametrize(("size", "kind"), [(1, "none"), (50, "snapshot"), (31, "deltas"), (10_000, "none")])
def test_any_batching_and_restart_reports_evictions_at_the_same_boundary(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int, kind: str
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 8)
    beats = eventful(1)
    reference = losses(engine, beats, 512, "none")
    assert len(reference) > 3
    assert reference == losses(engine, beats, size, kind)


@pytest.mark.parametrize(("size", "kind"), [(1, "none"), (50, "snapshot"), (31, "deltas"), (10_000, "none")])
def test_any_batching_and_restart_finds_the_same_at_every_bound(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int, kind: str
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 12)
    monkeypatch.setattr(processes, "MAX_ON_HOST", 2)
    monkeypatch.setattr(processes, "MAX_APPS", 2)
    monkeypatch.setattr(verdicts, "MAX_PROCESS_ALERTS", 3)
    beats = eventful(2)
    reference = run(engine, beats, 512, by_restart(engine, "none"))
    assert {rule for rule, _, _ in reference} >= {"watch-lost", "process-ended", "clear"}
    assert reference == run(engine, beats, size, by_restart(engine, kind))


SILENCED, SIBLING = Process(10**6, parent="a" * 16), Process(10**6 + 1, parent="a" * 16)


def flood_watch(engine: Engine, flood: Sequence[Beat], until_s: float = 300) -> Watch:
    """Return a process that falls silent during the flood, after two minutes. Its sibling runs on."""
    watch = Watch(engine)
    watch.read([*SILENCED.beats(0, 120), *SIBLING.beats(0, until_s), *flood], until_s)
    return watch


def starts(count: int, app: str = "shop", host: str = "a") -> list[Beat]:
    """Return new processes, each with one heartbeat, within half a minute of the last heartbeat."""
    return [Process(i, app=app, host=host).beat(120.5 + i * 30 / count, "start") for i in range(count)]


def pairs(count: int, app: str = "shop", host: str = "a") -> list[Beat]:
    """Return new processes, each of which ends immediately."""
    found: list[Beat] = []
    for i in range(count):
        at_s = 120.5 + i * 30 / count
        found += [Process(i, app=app, host=host).beat(at_s, "start"), Process(i, app=app, host=host).beat(at_s, "end")]
    return found


@pytest.mark.parametrize("app", ["shop", "other"])
@pytest.mark.parametrize("host", ["a", "b"])
@pytest.mark.parametrize("flood", [starts, pairs])
def test_flood_of_names_hides_no_process_that_falls_silent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, flood: Callable[..., list[Beat]], app: str, host: str
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 30)
    monkeypatch.setattr(processes, "MAX_ON_HOST", 20)
    watch = flood_watch(engine, flood(100, app, host))
    silent = [one for one in watch.evidence if one.get("backwatch.watch.lost") == "silent"]
    assert [one["backwatch.process.instance"] for one in silent] == [SILENCED.instance]


def test_process_that_makes_room_is_shown_as_followed_no_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_ON_HOST", 20)
    shard = engine.new_shard()
    shown = {one.instance: one.state for one in engine.step(shard, streams.entry(starts(100))).processes}
    assert {instance for instance, state in shown.items() if state == "running"} == set(shard.processes.rows)
    assert list(shown.values()).count("unfollowed") == 80


def test_newcomer_that_finds_only_followed_processes_is_a_loss(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_ON_HOST", 3)
    watch = Watch(engine)
    old = [Process(i) for i in range(3)]
    watch.read([*(beat for one in old for beat in one.beats(0, 120)), Process(9).beat(110, "start")], 130)
    assert sorted(watch.shard.processes.rows) == [one.instance for one in old]
    assert [one["backwatch.loss.count"] for one in watch.evidence if "backwatch.loss.count" in one] == [1]


def test_alert_about_a_silent_process_outlives_the_flood_that_displaces_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_ON_HOST", 3)
    watch = Watch(engine)
    [(_, alert, _)] = watch.read([*SILENCED.beats(0, 120), *SIBLING.beats(0, 300)], 300)
    crowd = [beat for i in range(2) for beat in Process(i, parent="f" * 16).beats(300 + 60 * i, 420)]
    watch.read([*crowd, *SIBLING.beats(315, 420)], 420)
    assert SILENCED.instance not in watch.shard.processes.rows
    assert ("clear", alert) not in {(rule, one) for rule, one, _ in watch.found}
    watch.shard.processes.displaced = dict.fromkeys(watch.shard.processes.displaced, BEGIN_NS)
    watch.read([], 620)
    assert ("clear", alert) in {(rule, one) for rule, one, _ in watch.found}


def test_displaced_alerts_keep_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_DISPLACED", 2)
    kept = processes.Processes()
    released: list[str] = []
    for i in range(5):
        kept.open(f"key{i}", [f"alert{i}"])
        released += kept.displace(f"key{i}", i)
        released += kept.close(f"key{i}")
    assert (released, sorted(kept.displaced)) == (["alert0", "alert1", "alert2"], ["alert3", "alert4"])
