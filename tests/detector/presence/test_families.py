"""Process families that end and start together, such as a killed server with its workers."""

import pytest

from backwatch.detector.engine.step import Engine
from tests.detector.presence.test_presence import Beat, Process, Watch

OLD, NEW, OTHER = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture
def watch(engine: Engine) -> Watch:
    return Watch(engine)


def family(parent: str, begin: int, count: int) -> list[Process]:
    return [Process(begin + i, parent=parent) for i in range(count)]


def rules(watch: Watch, beats: list[Beat], until_s: float) -> list[str]:
    return [rule for rule, _, _ in watch.read(beats, until_s)]


@pytest.mark.parametrize("phase_s", [0, 0.3, 3.7])
@pytest.mark.parametrize("workers", [4, 2])
def test_family_that_a_new_one_replaces_is_informational(watch: Watch, phase_s: float, workers: int) -> None:
    """Workers differ in phase, so they are not missed at one boundary. The new family may have fewer."""
    master, again = Process(10, pid=10), Process(20, pid=20)
    beats = [*master.beats(0, 600), *again.beats(606, 900)]
    for i, process in enumerate(family(OLD, 11, 4)):
        beats += process.beats(1 + phase_s * i, 600)
    for i, process in enumerate(family(NEW, 21, workers)):
        beats += process.beats(607 + phase_s * i, 900)
    assert rules(watch, beats, 900) == ["process-ended"] * 5


def test_family_that_starts_again_late_clears_all_its_alerts(watch: Watch) -> None:
    beats = [beat for process in family(OLD, 11, 4) for beat in process.beats(0, 600)]
    raised = watch.read(beats, 700)
    assert [rule for rule, _, _ in raised] == ["watch-lost"] * 4
    beats = [beat for process in family(NEW, 21, 2) for beat in process.beats(701, 760)]
    assert rules(watch, beats, 760) == ["clear"]


def test_family_that_ends_beside_an_old_one_is_missed(watch: Watch) -> None:
    """A worker that the other family recycles meanwhile replaces one worker only."""
    beats = [beat for process in family(OLD, 11, 4) for beat in process.beats(0, 600)]
    beats += [beat for process in family(OTHER, 31, 4) for beat in process.beats(2, 900)]
    beats += Process(40, parent=OTHER).beats(608, 900)
    assert sorted(rules(watch, beats, 900)) == ["process-ended", *["watch-lost"] * 3]


def test_worker_whose_siblings_run_is_missed_beside_a_new_family(watch: Watch) -> None:
    lost, *siblings = family(OLD, 11, 4)
    beats = [*lost.beats(0, 600), *(beat for i, process in enumerate(siblings) for beat in process.beats(4 * i, 900))]
    beats += [beat for process in family(NEW, 21, 4) for beat in process.beats(605, 900)]
    assert rules(watch, beats, 900) == ["watch-lost"]
