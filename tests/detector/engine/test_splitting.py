"""Splitting a shard by app moves its baselines and reports no finding twice."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from backwatch.detector.columns.key_texts import is_verbatim
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.splitting import keep_apps, release_apps
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.partitions_command import _Report  # pyright: ignore[reportPrivateUsage]
from backwatch.detector.runtime.repartition import Unread
from backwatch.detector.state.keys import APP, CALLER, RESOURCE, SPACES
from tests.detector import streams
from tests.detector.presence.test_presence import INTERVAL_S, Process, Watch
from tests.detector.streams import SAFE, SECOND, Call, statement

HOUR_NS = 3_600 * SECOND
ODD = statement("SELECT name, secret FROM users UNION SELECT 1, 2")
MOVED = frozenset(("billing", "catalogue"))
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=HOUR_NS)


class Judged:
    """A shard and the events of each alert so far."""

    def __init__(self, engine: Engine, shard: Shard) -> None:
        self.engine, self.shard = engine, shard
        self.found: Counter[tuple[str, str, int]] = Counter()
        self.app_of: dict[str, str] = {}
        self.windows: Counter[tuple[str, int, int]] = Counter()

    def feed(self, calls: Sequence[Call]) -> None:
        for at in range(0, len(calls), 50):
            self._note(self.engine.step(self.shard, streams.entry(streams.records(calls[at : at + 50]), at)))

    def tick(self, time_ns: int) -> None:
        self._note(self.engine.step(self.shard, Tick(time_ns)))

    def _note(self, findings: Findings) -> None:
        for event in findings.events:
            if isinstance(event, Firings):
                self.app_of[event.alert_id] = event.key.app
                for time_ns in event.times.tolist():
                    self.found["fired", event.alert_id, time_ns] += 1
            else:
                self.found["cleared", event.alert_id, event.time_ns] += 1
        for one in findings.windows:
            self.windows[one.parts[0], one.end_ns, one.sums["calls"]] += 1


def _split(parent: Judged) -> tuple[Judged, Judged]:
    return _split_by(parent, lambda app: app in MOVED)


def _split_by(parent: Judged, moves: Callable[[str], bool]) -> tuple[Judged, Judged]:
    """Split a shard from its stored state, as a new process does."""
    blob = parent.shard.snapshot()
    moved = {bytes.fromhex(one) for one, app in parent.app_of.items() if moves(app)}
    made: list[Judged] = []
    for _ in range(2):
        shard = parent.engine.new_shard()
        shard.apply([blob])
        made.append(Judged(parent.engine, shard))
    release_apps(made[0].shard, lambda app: not moves(app), moved)
    keep_apps(made[1].shard, moves, moved)
    return made[0], made[1]


@pytest.mark.parametrize("share", [0.3, 0.62, 0.75, 0.9])
def test_split_shards_find_the_same_as_the_whole_shard(engine: Engine, share: float) -> None:
    calls = streams.eventful(seed=3, count=900)
    at = int(len(calls) * share)
    end_ns = calls[-1].end_ns + 3 * HOUR_NS
    whole = Judged(engine, engine.new_shard())
    whole.feed(calls[:at])
    old, new = _split(whole)
    before, windows_before = Counter(whole.found), Counter(whole.windows)
    whole.feed(calls[at:])
    old.feed([call for call in calls[at:] if call.app not in MOVED])
    new.feed([call for call in calls[at:] if call.app in MOVED])
    for one in (whole, old, new):
        one.tick(end_ns)
    assert old.found + new.found == whole.found - before
    assert old.windows + new.windows == whole.windows - windows_before
    assert sum((whole.found - before).values()) > 20
    assert not set(old.found) & set(new.found)


def test_new_shard_keeps_only_its_apps_and_their_slots(engine: Engine) -> None:
    whole = Judged(engine, engine.new_shard())
    whole.feed(streams.eventful(seed=5, count=300))
    _, new = _split(whole)
    keys = new.shard.spaces[RESOURCE.name].keys
    assert {parts[0] for slot, parts in new.shard.resources.items() if keys[slot]} == MOVED
    for space in set(SPACES) - {APP, CALLER}:
        assert 0 < new.shard.spaces[space.name].used < whole.shard.spaces[space.name].used


@pytest.mark.parametrize("name", ["x" * 400, "a\x1fb", "a\x1bb"], ids=["long", "separator", "escape"])
def test_app_with_an_escaped_key_keeps_its_baselines(engine: Engine, name: str) -> None:
    """Producers choose the partition by the name as given. Keys hold it escaped or shortened."""
    calls = [Call(one.end_ns, SAFE, one.facts, name) for one in streams.quiet(random.Random(7), 1_500)]
    whole = Judged(engine, engine.new_shard())
    whole.feed(calls[:1_400])
    _, new = _split_by(whole, lambda app: app == name)  # as `partition_of` returns for the name
    new.feed([*calls[1_400:], Call(calls[-1].end_ns + SECOND, SAFE, ODD, name)])
    assert len(new.found) == 1
    for one in ("shop", "x" * 300, "a…b/" + "0" * 32):
        assert is_verbatim(one)


def test_late_calls_at_the_old_shard_are_judged_by_their_baseline(engine: Engine) -> None:
    """Producers learn of new partitions minutes later. Until then the old shard gets an app's calls."""
    source = random.Random(7)
    calls = [Call(one.end_ns, SAFE, one.facts, "billing") for one in streams.quiet(source, 1_500)]
    whole = Judged(engine, engine.new_shard())
    whole.feed(calls[:1_400])
    old, new = _split(whole)
    old.feed([*calls[1_400:], Call(calls[-1].end_ns + SECOND, SAFE, ODD, "billing")])
    new.feed([*calls[1_400:], Call(calls[-1].end_ns + SECOND, SAFE, ODD, "billing")])
    assert {one[:2] for one in old.found} == {one[:2] for one in new.found} != set()


def test_processes_of_moved_apps_are_missed_only_by_their_new_shard(engine: Engine) -> None:
    """A moving process reports to the old shard, then to the new one. Neither raises silence."""
    moving, staying = Process(1, app="billing"), Process(2, app="shop")
    whole = Watch(engine)
    assert whole.read([*moving.beats(0, 120), *staying.beats(0, 120)], 120) == []
    blob = whole.shard.snapshot()
    old, new = Watch(engine), Watch(engine)
    for one in (old, new):
        one.shard.apply([blob])
        one.read([], 120)
    release_apps(old.shard, lambda app: app not in MOVED, [])
    keep_apps(new.shard, lambda app: app in MOVED, [])
    restarted = engine.new_shard()
    restarted.apply([old.shard.snapshot()])
    old.shard = restarted
    late = [moving.beat(at) for at in (135, 150)]  # its producer does not know the new partition yet
    assert old.read([*late, *(staying.beat(at) for at in range(135, 600, INTERVAL_S))], 600) == []
    assert new.read([moving.beat(at) for at in range(300, 600, INTERVAL_S)], 600) == []
    assert [rule for rule, _, _ in new.read([], 700)] == ["watch-lost"]
    assert [rule for rule, _, _ in old.read([], 700)] == ["watch-lost"]


def _split_watch(engine: Engine, whole: Watch, at_s: float, alerts: Sequence[str] = ()) -> tuple[Watch, Watch]:
    """Split the shards as ``partitions add`` does: apps that stay, and moved apps with these alerts."""
    blob, moved = whole.shard.snapshot(), {bytes.fromhex(one) for one in alerts}
    old, new = Watch(engine), Watch(engine)
    for one in (old, new):
        one.shard.apply([blob])
    release_apps(old.shard, lambda app: app not in MOVED, moved)
    keep_apps(new.shard, lambda app: app in MOVED, moved)
    for one in (old, new):
        restarted = engine.new_shard()
        restarted.apply([one.shard.snapshot()])
        one.shard = restarted
        one.read([], at_s)
    return old, new


def test_process_silent_at_the_split_clears_only_in_its_new_shard(engine: Engine) -> None:
    silent, sibling, staying = (Process(i, app=app) for i, app in enumerate(("billing", "billing", "shop")))
    whole = Watch(engine)
    [(_, alert, _)] = whole.read([*silent.beats(0, 120), *sibling.beats(0, 300), *staying.beats(0, 300)], 300)
    old, new = _split_watch(engine, whole, 300)
    assert old.shard.processes.raised == {}
    assert [row.app for row in old.shard.processes.rows.values()] == ["shop"]
    assert new.read([sibling.beat(at) for at in range(600, 660, INTERVAL_S)], 660) == []  # not a new process
    assert new.read([silent.beat(661)], 662) == [("clear", alert, 661)]
    eight_days_s = 8 * 86_400
    old._now_ns += eight_days_s * SECOND
    assert [rule for rule, _, _ in old.read([staying.beat(eight_days_s + 320)], eight_days_s + 330)] == []


def test_alert_held_open_at_the_split_clears_only_in_its_own_shard(engine: Engine) -> None:
    """The process fell silent repeatedly, until its alert stayed open for an hour each time."""
    whole, sibling = Watch(engine), Process(2, app="billing")
    turns = [
        Process(1, app="billing").beat(round_s + at_s) for round_s in range(0, 960, 120) for at_s in (1, 16, 31, 46)
    ]
    [alert] = {one for _, one, _ in whole.read([*turns, *sibling.beats(0, 960)], 960)}
    assert alert in whole.shard.processes.displaced
    old, new = _split_watch(engine, whole, 960, [alert])
    assert old.read([], 6_000) == []
    assert new.read(Process(1, app="billing").beats(961, 6_000), 6_000)[-1][:2] == ("clear", alert)


def test_process_never_active_in_its_new_shard_is_not_missed(engine: Engine) -> None:
    """It may have ended while its producer did not know the new partition."""
    whole = Watch(engine)
    whole.read(Process(1, app="billing").beats(0, 300), 300)
    _, new = _split_watch(engine, whole, 300)
    assert new.read([], 4_200) == []
    assert new.shard.processes.rows == {}


def test_each_line_of_a_drain_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    report = _Report()
    unseen, stands = Unread(0, (1, 2)), Unread(7, (), "partition 2: the store is full")
    for one in (unseen, unseen, unseen, Unread(7, ()), stands, stands, Unread(0, ())):
        report(one)
    assert capsys.readouterr().err.splitlines() == [
        "backwatch: waiting to be assigned partition(s) 1, 2 of backwatch_calls",
        "backwatch: 7 records are unread",
        "backwatch: 7 records are unread (partition 2: the store is full)",
        "backwatch: 0 records are unread",
    ]


def test_pending_losses_at_a_split_stay_with_the_parent(engine: Engine) -> None:
    whole = engine.new_shard()
    whole.scalars.uncounted, whole.processes.evicted = 7, 3
    whole.lose("evicted.site", 2)
    keep_apps(whole, lambda app: app in MOVED, [])
    assert (whole.scalars.uncounted, whole.scalars.unreported, whole.processes.evicted) == (0, {}, 0)
