"""Silent processes: alerts, clears, and cases that must raise nothing."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_heartbeat
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from backwatch.detector.presence import processes
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.streams import CONFIG, SECOND, START_NS

INTERVAL_S = 15
WEEK_S = 7 * 86_400
MAX_DELTAS = 16
"""After a snapshot, until the next, as in the store."""
HOUR_NS = 3_600 * SECOND
BEGIN_NS = START_NS // HOUR_NS * HOUR_NS
RULES = ("watch-lost", "app-ended", "process-ended")

Beat = tuple[bytes, int, bool]
RaisedOrCleared = tuple[str, str, int]


@dataclass(frozen=True)
class Process:
    """A watched process with the heartbeats of its collector."""

    number: int
    app: str = "shop"
    host: str = "a"
    pid: int = 7
    parent: str = ""

    @property
    def instance(self) -> str:
        return f"{self.number:016x}"

    def beat(self, at_s: float, event: str = "beat", **more: Any) -> Beat:
        facts = {
            names.PROCESS_INSTANCE: self.instance, names.PROCESS_EVENT: event, names.PROCESS_RECORDED: 12,
            names.PROCESS_DELIVERED: 9, names.PROCESS_INTERVAL: INTERVAL_S * SECOND,
            **({names.PROCESS_PARENT: self.parent} if self.parent else {}), **more,
        }  # fmt: skip
        resource = ((names.SERVICE_NAME, self.app), (names.HOST_NAME, self.host), (names.PROCESS_PID, self.pid))
        return encode_heartbeat(App(self.app, "", "", resource), {}, facts), BEGIN_NS + int(at_s * SECOND), False

    def beats(self, since_s: float, until_s: float) -> list[Beat]:
        """Return a start, and a heartbeat each interval until the given time."""
        count = int((until_s - since_s) // INTERVAL_S) + 1
        return [self.beat(since_s + i * INTERVAL_S, "beat" if i else "start") for i in range(count)]

    def report(self, name: str, at_s: float, relative: "Process", *, delivered: bool = False) -> Beat:
        since_ns = BEGIN_NS + int(at_s * SECOND) - 30 * SECOND
        return self.beat(at_s, **{name: f"{relative.instance}:{relative.pid}:{since_ns}:{int(delivered)}"})


def list_reported(findings: Findings) -> list[RaisedOrCleared]:
    """Return raises and clears in order: rule or ``clear``, alert, seconds since the beginning."""
    found: list[RaisedOrCleared] = []
    for event in findings.events:
        if isinstance(event, ClearedAlert):
            found.append(("clear", event.alert_id, (event.time_ns - BEGIN_NS) // SECOND))
        else:
            found += [
                (one.rule.name, one.alert_id, (one.time_ns - BEGIN_NS) // SECOND)
                for one in event.iter_findings()
                if one.rule.name in RULES
            ]
    return found


class Watch:
    """A shard read as by a live detector: a tick every ten idle seconds."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.shard = engine, engine.new_shard()
        self.found: list[RaisedOrCleared] = []
        self.evidence: list[dict[str, Any]] = []
        self._now_ns = BEGIN_NS

    def read(self, beats: Iterable[Beat], until_s: float) -> "list[RaisedOrCleared]":
        """Read these records with ticks between them, and return the alerts raised meanwhile."""
        before = len(self.found)
        for beat in sorted(beats, key=lambda one: one[1]):
            self._ticks(beat[1])
            self._step(streams.entry([beat]))
            self._now_ns = max(self._now_ns, beat[1])
        self._ticks(BEGIN_NS + int(until_s * SECOND))
        return self.found[before:]

    def _ticks(self, until_ns: int) -> None:
        while self._now_ns + 10 * SECOND <= until_ns:
            self._now_ns += 10 * SECOND
            self._step(Tick(self._now_ns - CONFIG.lateness_ns))

    def _step(self, entry: Any) -> None:
        findings = self.engine.step(self.shard, entry)
        self.found += list_reported(findings)
        self.evidence += [dict(one.evidence) for one in findings.iter_findings()]


@pytest.fixture
def watch(engine: Engine) -> Watch:
    return Watch(engine)


def test_process_that_falls_silent_is_named_within_sixty_seconds(watch: Watch) -> None:
    process = Process(1)
    assert watch.read(process.beats(3, 120), 120) == []
    last_s = 108  # 3 + 7 * 15: it falls silent right after its last heartbeat, at the earliest
    [(rule, _, at_s)] = watch.read([], 400)
    assert (rule, at_s - last_s <= 60) == ("watch-lost", True)
    [evidence] = watch.evidence
    assert {
        names.SERVICE_NAME: "shop", names.HOST_NAME: "a", names.PROCESS_PID: 7, "backwatch.watch.lost": "silent",
        names.PROCESS_RECORDED: 12, names.PROCESS_DELIVERED: 9,
        "backwatch.process.heard_ns": BEGIN_NS + last_s * SECOND,
    }.items() <= evidence.items()  # fmt: skip


def test_two_missed_heartbeats_raise_nothing(watch: Watch) -> None:
    process = Process(1)
    assert watch.read([*process.beats(0, 120), *process.beats(164, 300)], 300) == []


def test_farewell_ends_a_process_without_an_alert(watch: Watch) -> None:
    assert watch.read([*Process(1).beats(0, 120), Process(1).beat(121, "end")], 1_000) == []


def test_process_active_again_clears_its_alert(watch: Watch) -> None:
    process = Process(1)
    [(_, alert, _)] = watch.read(process.beats(0, 120), 300)
    assert watch.read([process.beat(310)], 320) == [("clear", alert, 310)]


def test_silent_process_raises_one_alert_that_its_hosts_last_process_clears(watch: Watch) -> None:
    first, second = Process(1), Process(2, pid=8)
    raised = watch.read([*first.beats(0, 120), *second.beats(0, 120)], 3_600)
    assert [rule for rule, _, _ in raised] == ["watch-lost", "watch-lost"]
    assert len({alert for _, alert, _ in raised}) == 1
    assert watch.read([first.beat(3_610)], 3_620) == []
    assert [rule for rule, _, _ in watch.read([first.beat(3_625), second.beat(3_626)], 3_630)] == ["clear"]


def test_replaced_worker_is_informational(watch: Watch) -> None:
    killed, next_one, sibling = (Process(i, pid=i, parent="f" * 16) for i in (1, 2, 3))
    beats = [*killed.beats(0, 120), *next_one.beats(130, 400), *sibling.beats(0, 400)]
    assert [rule for rule, _, _ in watch.read(beats, 400)] == ["process-ended"]


def test_replacement_that_comes_late_clears_the_alert(watch: Watch) -> None:
    assert [rule for rule, _, _ in watch.read(Process(1).beats(0, 120), 300)] == ["watch-lost"]
    assert [rule for rule, _, _ in watch.read(Process(2).beats(300, 330), 330)] == ["clear"]


def test_one_new_process_replaces_one_and_no_more(watch: Watch) -> None:
    beats = [*Process(1).beats(0, 120), *Process(2).beats(0, 120), *Process(3).beats(130, 400)]
    assert sorted(rule for rule, _, _ in watch.read(beats, 400)) == ["process-ended", "watch-lost"]


def test_process_of_another_family_replaces_no_worker_whose_siblings_run(watch: Watch) -> None:
    silenced, sibling = Process(1, parent="a" * 16), Process(2, parent="a" * 16)
    beats = [*silenced.beats(0, 120), *sibling.beats(0, 400), *Process(3, parent="b" * 16).beats(130, 400)]
    assert [rule for rule, _, _ in watch.read(beats, 400)] == ["watch-lost"]


def test_new_release_on_another_host_replaces_one_process(watch: Watch) -> None:
    beats = [*Process(1, host="a").beats(0, 400), *Process(2, host="b").beats(350, 600)]
    assert [rule for rule, _, _ in watch.read(beats, 600)] == ["process-ended"]


def test_equal_pids_on_different_hosts_are_different_processes(watch: Watch) -> None:
    beats = [*Process(1, host="a", pid=1).beats(0, 120), *Process(2, host="b", pid=1).beats(0, 600)]
    assert [rule for rule, _, _ in watch.read(beats, 600)] == ["watch-lost"]
    assert watch.evidence[0][names.HOST_NAME] == "a"


def test_short_script_that_is_killed_is_informational(watch: Watch) -> None:
    assert [rule for rule, _, _ in watch.read(Process(1).beats(0, 16), 300)] == ["process-ended"]


def test_worker_that_never_delivers_is_named_at_its_siblings_report(watch: Watch) -> None:
    sibling, mute = Process(1, pid=11), Process(2, pid=12)
    found = watch.read([*sibling.beats(0, 45), sibling.report(names.SILENT_RELATIVES, 60, mute)], 61)
    assert [(rule, at_s) for rule, _, at_s in found] == [("watch-lost", 60)]
    assert watch.evidence[0]["backwatch.watch.lost"] == "undelivered"
    assert (watch.evidence[0][names.PROCESS_PID], watch.evidence[0]["backwatch.watch.silent_s"]) == (12, 30)
    assert watch.read([sibling.report(names.SILENT_RELATIVES, 75, mute)], 76) == []
    assert watch.read([mute.beat(80)], 81) == [("clear", found[0][1], 80)]


def test_worker_whose_end_a_sibling_saw_is_informational(watch: Watch) -> None:
    sibling, killed = Process(1), Process(2)
    beats = [*sibling.beats(0, 200), *killed.beats(0, 120), sibling.report(names.ENDED_RELATIVES, 136, killed)]
    assert [(rule, at_s) for rule, _, at_s in watch.read(beats, 200)] == [("process-ended", 136)]


def test_process_cannot_be_ended_by_a_report_of_another_app_or_host(watch: Watch) -> None:
    others = [Process(2, app="other"), Process(3, host="elsewhere")]
    beats = [beat for one in others for beat in one.beats(0, 180)]
    beats += [one.report(names.ENDED_RELATIVES, 110, Process(1)) for one in others]
    assert [rule for rule, _, _ in watch.read([*Process(1).beats(0, 120), *beats], 180)] == ["watch-lost"]


def test_unavailable_stream_makes_no_process_silent(engine: Engine) -> None:
    beats = [one for i in range(5) for one in Process(i).beats(i, 120)]
    back = [one for i in range(5) for one in Process(i).beats(1_000 + 6 * i, 1_100)]
    shard, found = engine.new_shard(), list[RaisedOrCleared]()
    for one in sorted([*beats, *back], key=lambda beat: beat[1]):  # no ticks: an unavailable stream has no end
        found += list_reported(engine.step(shard, streams.entry([one])))
    found += list_reported(engine.step(shard, Tick(BEGIN_NS + 1_110 * SECOND - CONFIG.lateness_ns)))
    assert found == []


def test_stopped_detector_makes_no_process_silent(engine: Engine) -> None:
    shard, found = engine.new_shard(), list[RaisedOrCleared]()
    for one in Process(1).beats(0, 120):
        found += list_reported(engine.step(shard, streams.entry([one])))
    found += list_reported(engine.step(shard, Tick(BEGIN_NS + 86_400 * SECOND - CONFIG.lateness_ns)))
    assert found == []


def test_heartbeat_of_an_older_collector_raises_nothing(watch: Watch) -> None:
    old = encode_heartbeat(App("shop", "", "", ((names.SERVICE_NAME, "shop"),)), {"queue": 0})
    assert watch.read([(old, BEGIN_NS + 60 * i * SECOND, False) for i in range(10)], 1_200) == []


def hours(weeks: int, minutes: int = 70, *, farewell: bool = False) -> list[Beat]:
    """Return a process that runs in one hour each week and ends cleanly or not."""
    found: list[Beat] = []
    for week in range(weeks):
        process = Process(week + 1)
        found += process.beats(week * WEEK_S, week * WEEK_S + minutes * 60)
        found += [process.beat(week * WEEK_S + minutes * 60 + 1, "end")] if farewell else []
    return found


def find_missed(engine: Engine, beats: Sequence[Beat], week: int) -> set[str]:
    """Return the alerts of the hour after which the app is missed."""
    watch = Watch(engine)
    for one in beats:
        watch._step(streams.entry([one]))
    watch._now_ns = BEGIN_NS + week * WEEK_S * SECOND
    return {rule for rule, _, _ in watch.read([], week * WEEK_S + 3_900)}


def test_app_that_is_quiet_in_its_usual_hour_is_missed(engine: Engine) -> None:
    beats = hours(3)
    assert find_missed(engine, beats[:-4], 3) == {"watch-lost"}
    assert find_missed(engine, hours(3, farewell=True), 3) == {"app-ended"}


def test_app_that_is_known_for_two_weeks_is_not_missed(engine: Engine) -> None:
    assert find_missed(engine, hours(2, farewell=True), 2) == set()


def test_nightly_job_is_not_missed(engine: Engine) -> None:
    assert find_missed(engine, hours(4, minutes=40, farewell=True), 4) == set()


def test_flood_of_processes_stays_bounded_and_is_a_loss(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 50)
    shard = engine.new_shard()
    flood = [Process(i, app="flood").beat(100 + i / 10, "start") for i in range(200)]
    found = [engine.step(shard, streams.entry([*Process(10**6, app="shop").beats(0, 90), *flood]))]
    assert len(shard.processes.rows) == 50
    assert shard.processes.rows[f"{10**6:016x}"].app == "shop"
    found.append(engine.step(shard, Tick(BEGIN_NS + 130 * SECOND - CONFIG.lateness_ns)))
    assert sum(one.losses["evicted.process"] for one in found) == 151


def test_heartbeat_cost_does_not_grow_with_known_processes(engine: Engine) -> None:
    def cpu_s(shard: Shard, first: int) -> float:
        beats = [Process(i, app="flood").beat(100 + i / 1000, "start") for i in range(first, first + 1_000)]
        began_s = time.process_time()
        engine.step(shard, streams.entry(beats))
        return time.process_time() - began_s

    shard = engine.new_shard()
    few = cpu_s(shard, 0)
    for first in range(1_000, processes.MAX_PROCESSES + 1_000, 1_000):
        cpu_s(shard, first)
    assert min(cpu_s(shard, 10_000), cpu_s(shard, 11_000)) < 4 * few + 0.5
    assert len(shard.processes.rows) <= processes.MAX_PROCESSES


def eventful(seed: int) -> list[Beat]:
    """Draw half an hour of processes that start, stop, fall silent, return and are replaced."""
    source = random.Random(seed)
    found: list[Beat] = []
    for number in range(40):
        process = Process(number, app=f"app{number % 3}", host=f"host{number % 4}", parent=f"{number % 5:016x}")
        since_s = source.uniform(0, 1_500)
        until_s = since_s + source.uniform(0, 600)
        beats = process.beats(since_s, until_s)
        if source.random() < 0.3:
            beats.append(process.beat(until_s + 1, "end"))
        if source.random() < 0.3:
            beats += process.beats(until_s + 120, until_s + 200)
        other = Process(source.randrange(40), app=process.app, host=process.host)
        name = source.choice([names.SILENT_RELATIVES, names.ENDED_RELATIVES])
        beats.append(process.report(name, source.uniform(since_s, until_s), other, delivered=source.random() < 0.5))
        found += beats
    calls = streams.records(list(streams.quiet(source, 90, BEGIN_NS)), backfill=False)
    return sorted([*found, *calls], key=lambda beat: beat[1])


def by_restart(engine: Engine, kind: str) -> Callable[[Shard], Shard]:
    chain: list[bytes] = []

    def again(shard: Shard) -> Shard:
        if kind == "none":
            return shard
        if kind == "deltas" and len(chain) <= MAX_DELTAS:
            chain.append(shard.delta())
        else:
            chain[:] = [shard.snapshot()]
        fresh = engine.new_shard()
        fresh.apply(chain)
        return fresh

    return again


def run(engine: Engine, beats: Sequence[Beat], size: int, again: Callable[[Shard], Shard]) -> list[RaisedOrCleared]:
    shard, found = engine.new_shard(), list[RaisedOrCleared]()
    for at in range(0, len(beats), size):
        found += list_reported(engine.step(shard, streams.entry(beats[at : at + size], at)))
        shard = again(shard)
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("size", "kind"), [(1, "none"), (50, "snapshot"), (31, "deltas"), (10_000, "none")])
def test_any_batching_and_restart_finds_the_same_silence(engine: Engine, seed: int, size: int, kind: str) -> None:
    beats = eventful(seed)
    reference = run(engine, beats, 512, by_restart(engine, "none"))
    assert {rule for rule, _, _ in reference} >= {"watch-lost", "process-ended", "clear"}
    assert reference == run(engine, beats, size, by_restart(engine, kind))


def test_heartbeats_with_any_content_cause_no_error(engine: Engine) -> None:
    source = random.Random(7)
    reported = [names.PROCESS_INSTANCE, names.PROCESS_PARENT, names.PROCESS_EVENT, names.PROCESS_STARTED,
            names.PROCESS_INTERVAL, names.PROCESS_RECORDED, names.PROCESS_DELIVERED, names.PROCESS_DROPPED,
            names.SILENT_RELATIVES, names.ENDED_RELATIVES]  # fmt: skip
    one = f"{1:016x}"
    values: list[Any] = [
        "", "x" * 9_000, "\x1f", one, f"{one}:1:2:0", f"{one}:{'9' * 30}:1:1", f"{one}:1:1:1," * 900, "\u0661" * 16,
        -1, 0, 2**63 - 1, -(2**63), True, 1.5, "start", "end", "½:½",
    ]  # fmt: skip
    shard = engine.new_shard()
    for at in range(400):
        facts = {name: source.choice(values) for name in reported if source.random() < 0.8}
        if source.random() < 0.7:
            facts[names.PROCESS_INSTANCE] = f"{source.randrange(9):016x}"
        app = source.choice(["", "shop", "a\x1fb", "x" * 5_000])
        resource = ((names.SERVICE_NAME, app), (names.HOST_NAME, source.choice(values)), (names.PROCESS_PID, -5))
        record = encode_heartbeat(App(app, "", "", resource), {}, facts), BEGIN_NS + at * SECOND, False
        engine.step(shard, streams.entry([record]))
        if at % 50 == 0:
            fresh = engine.new_shard()
            fresh.apply([shard.snapshot()])
            assert fresh.processes.rows == shard.processes.rows
    engine.step(shard, Tick(BEGIN_NS + 430 * SECOND - CONFIG.lateness_ns))
    assert len(shard.processes.rows) <= 50
