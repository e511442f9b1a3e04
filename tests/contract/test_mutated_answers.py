"""The app sees the same with Backwatch and without for any response bytes, and the detector survives.

These tests run every hostile server of the attack pack, on every client library that the pack has for it: of the
scenarios with the same class of service and the same driver, the first one. The server is honest at even seeds and
hostile at odd ones. The seed mutates one thing that the server sends; after that reply the server half-closes.

``BACKWATCH_TEST_MUTATIONS`` is the number of seeds (10; 60 in ``make test-all``), ``BACKWATCH_TEST_SEED`` a single
seed; ``BACKWATCH_TEST_DRIVERS=first`` keeps one driver for each class of service.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from backwatch.attack.authority import Authority
from backwatch.attack.scenarios import SECRET, Scenario, discover
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.runtime.replay import Replay
from tests.contract.mutations.playing import STACK_ENDED, Part, Rates, Seen
from tests.contract.mutations.stage import LANES, PORTS_EACH, Stage

COUNT = int(os.environ.get("BACKWATCH_TEST_MUTATIONS", "10"))
ALONE = os.environ.get("BACKWATCH_TEST_SEED")
ONE_DRIVER = os.environ.get("BACKWATCH_TEST_DRIVERS") == "first"
SEEDS = [int(ALONE)] if ALONE else list(range(COUNT))
AT_ONCE = 1_000
"""Seeds between which processes are new."""
MAX_UNSTEADY = 3
"""Seeds of a small run whose outcome may differ at first: a busy machine alone makes clients time out."""
SIDE_BY_SIDE = 2
WAITING = {"ftplib": 6, "kafka": 4, "kombu": 4, "nats": 8, "pymongo": 6}
"""Clients that wait rather than compute, by their own clocks: so many of them go side by side."""
TRIES, WITH_ALL = 12, 6
ROUNDS_OF_THE_RARE, PLAYS_OF_THE_RARE, SURE = 30, 120, 10
"""By chance, ten of ten fall on one side once in a thousand times. Rounds are counted: what is played side by side
meets the same load of the machine, so it runs out of time together."""
RACING = {
    "nats-connect-urls": {
        "None", "builtins.AttributeError: 'NoneType' object has no attribute '_write_appdata'",
        "builtins.ConnectionResetError: Connection lost", "builtins.TimeoutError: it waits for ever",
    },
}  # fmt: skip
"""What one bare app sees of one seed, now this and now that (of 3,456 times 86, 2,199, 5 and 14): nats-py dials another
server while it takes leave of the first one."""


@cache
def _entries() -> dict[str, type[Scenario]]:
    """Return the first scenario for each class of service and driver; files have no service that replies.

    Slow ones are spread among the others: few of them run at the same time.
    """
    found: dict[tuple[type, str], type[Scenario]] = {}
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        for kind in (*discover(), Rates):
            if kind.driver == "sqlite3":
                continue
            service = kind.service(authority)
            service.stop()
            found.setdefault((type(service), "" if ONE_DRIVER else kind.driver), kind)
    waiting = [kind for kind in found.values() if kind.driver in WAITING]
    others = [kind for kind in found.values() if kind.driver not in WAITING]
    every = len(others) // len(waiting) + 1
    spread = [kind for at, one in enumerate(waiting) for kind in (one, *others[at * every : (at + 1) * every])]
    return {kind.name() if kind is not Rates else "http": kind for kind in spread}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as one:
        yield one


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(EngineConfig())


class Play:
    """One scenario, run again and again, each seed in the same way each time.

    Attributes:
        lanes: The number of apps side by side.
        answers: True if the service sends anything.
    """

    def __init__(self, stage: Stage, kind: type[Scenario], folder: Path) -> None:
        self._stage = stage
        self.kind = kind
        self._folder = folder
        self.lanes = min(LANES, WAITING.get(kind.driver, SIDE_BY_SIDE))
        (first,) = stage.play([self._part(0, (), watched=False)])
        self._sent = first.sent
        self.answers = any(sent for sent, _ in self._sent)

    def run_seeds(self, seeds: Sequence[int], *, watched: bool, dawdles: bool = False) -> list[Seen]:
        """Run all these seeds, some side by side."""
        # Of each both honest and hostile ones.
        dealt = [[seed for seed in seeds if seed // 2 % self.lanes == lane] for lane in range(self.lanes)]
        return self._stage.play(
            [self._part(lane, own, watched=watched, dawdles=dawdles) for lane, own in enumerate(dealt) if own]
        )

    def run_seeds_on_all(self, seeds: Sequence[int], *, watched: bool, dawdles: bool) -> list[Seen]:
        """Run all these seeds, each as often as there is room for side by side."""
        return self._stage.play(
            [self._part(lane, seeds, watched=watched, dawdles=dawdles) for lane in range(self.lanes)]
        )

    def _part(self, lane: int, seeds: Sequence[int], *, watched: bool, dawdles: bool = False) -> Part:
        return Part(
            kind=self.kind, seeds=seeds, watched=watched, dawdles=dawdles, sent=self._sent,
            port=self._stage.port + lane * PORTS_EACH, folder=self._folder / f"{lane}",
        )  # fmt: skip

    _sent: Sequence[tuple[int, int]] = ()


def outcomes(seen: Sequence[Seen], kind: type[Scenario]) -> dict[int, str]:
    racing = RACING.get(kind.name(), set[str]())
    return {
        seed: "one of several" if outcome in racing else outcome
        for one in seen
        for seed, outcome in one.outcomes.items()
    }


def unexpected_faults(watched: Sequence[Seen]) -> list[str]:
    """Return faults of the collector; not that it had no stack left where the app itself had none.

    botocore follows redirects of a bucket's region by recursion, without an end.
    """
    return [
        fault
        for one in watched
        for fault in one.faults
        if STACK_ENDED not in one.outcomes.values() or RecursionError.__name__ not in fault
    ]


def never_seen_bare(play: Play, watched: dict[int, str], bare: dict[int, str]) -> dict[int, tuple[set[str], set[str]]]:
    """Return differences that only an observed app sees, and those of a bare one; once all seeds ran again.

    Who speaks over several connections at once, or waits by its own clock while others compute, does not see the same
    each time: what it saw under watch, it is seen to see bare, too, or never again under watch. Where a bare app sees
    another thing each time (an octet of the random nonce that it sent itself, moved to where a number belongs), words
    are compared. What is seen now and then shows nothing if it falls on one side by chance: ``SURE`` plays it must,
    whether what they showed is the same or another thing each time.

    Args:
        play: To see more.
        watched, bare: All that was seen first.
    """
    differ = [seed for seed in bare if bare[seed] != watched[seed]]
    seen: dict[int, set[str]] = {seed: {bare[seed]} for seed in differ}
    again: dict[int, list[set[str]]] = {seed: [] for seed in differ}

    def only_watched(seed: int) -> list[set[str]]:
        known = {_words(one) for one in seen[seed]} if len(seen[seed]) > 1 else set[tuple[str, ...]]()
        new = [{one for one in round_ if one not in seen[seed] and _words(one) not in known} for round_ in again[seed]]
        return [one for one in new if one]

    def is_open(seed: int, number: int) -> bool:
        rounds = len(only_watched(seed))
        return 0 < rounds < SURE or (number < TRIES and (rounds > 0 or watched[seed] not in seen[seed]))

    for number in range(max(ROUNDS_OF_THE_RARE, PLAYS_OF_THE_RARE // play.lanes)):
        open_ = [seed for seed in differ if is_open(seed, number)]
        if not open_:
            break
        for is_watched in (False, True):
            if number == WITH_ALL:  # with all that went before in the same processes, which takes long
                found = play.run_seeds(list(bare), watched=is_watched)
            else:
                found = play.run_seeds_on_all(open_, watched=is_watched, dawdles=number % 2 == 1)
            reported = [outcomes([one], play.kind) for one in found]
            for seed in differ:
                round_ = {one[seed] for one in reported if seed in one}
                if is_watched and round_:
                    again[seed].append(round_)
                elif not is_watched:
                    seen[seed].update(round_)
    only = {seed: only_watched(seed) for seed in differ}
    return {seed: (set[str]().union(*only[seed]), seen[seed]) for seed in differ if len(only[seed]) >= SURE}


def _words(outcome: str) -> tuple[str, ...]:
    kind = outcome.partition(":")[0]
    if "Timeout" in kind:
        return (kind,)  # its progress by then depends on the clock
    return tuple(re.findall(r"[^\W\d]{2,}", outcome))


def again(seed: int, kind: type[Scenario]) -> str:
    """Return instructions to reproduce it."""
    name = next(name for name, one in _entries().items() if one is kind)
    return f"BACKWATCH_TEST_SEED={seed} .venv/bin/pytest tests/contract/test_mutated_answers.py -k '[{name}]'"


@pytest.mark.heavy
@pytest.mark.spread
@pytest.mark.timeout(120 + 2 * len(SEEDS))
@pytest.mark.parametrize("kind", _entries().values(), ids=_entries())
def test_mutated_answers_look_the_same_with_and_without(
    kind: type[Scenario], stage: Stage, engine: Engine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    play = Play(stage, kind, tmp_path)
    assert play.answers
    for begin in range(0, len(SEEDS), AT_ONCE):
        seeds = SEEDS[begin : begin + AT_ONCE]
        bare = play.run_seeds(seeds, watched=False)
        watched = play.run_seeds(seeds, watched=True)
        assert ALONE or sum(one.reached for one in bare) > len(seeds) / 2
        assert unexpected_faults(watched) == []

        without, having = outcomes(bare, kind), outcomes(watched, kind)
        differ = [seed for seed in seeds if having[seed] != without[seed]]
        print(f"{kind.name()}: {len(differ)} of {len(seeds)} differ at first: {differ}")
        unlike = never_seen_bare(play, having, without)
        assert unlike == {}, again(next(iter(unlike)), kind)
        assert kind.driver in WAITING or len(differ) <= max(MAX_UNSTEADY, len(seeds) / 100 + 1)

        reported = [value for one in watched for value in one.reported]
        assert [value for value in reported if SECRET.encode() in value] == []
        judging = Replay(engine)
        list(judging.judge(reported))
        assert judging.counts.calls
        assert not judging.counts.unreadable
        assert not judging.counts.faults
        if len(SEEDS) > AT_ONCE:
            with capfd.disabled():
                print(f" {begin + len(seeds):,}", end="", flush=True)
