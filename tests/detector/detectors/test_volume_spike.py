"""State of the volume detector over versions, and first runs of code."""

from typing import Any

import numpy as np

from backwatch.detector.baselines import first_run
from backwatch.detector.baselines.first_run import FIRST_CALL, FIRST_RUNS, find_first_runs, share_of_first_runs
from backwatch.detector.baselines.level import LEVEL
from backwatch.detector.baselines.level import update as update_level
from backwatch.detector.baselines.volume_score import observe
from backwatch.detector.detectors.volume_spike import VolumeSpike
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.windows import RING_WINDOWS

MINUTE_NS = 60 * 10**9


def test_level_of_version_1_is_kept() -> None:
    before, source = np.zeros(3, LEVEL), np.random.default_rng(0)
    for i in range(2_000):
        update_level(before, 1, np.log1p(1_000 * float(np.exp(source.normal(0, 0.1)))), i * MINUTE_NS, True)
    table = VolumeSpike.tables[0]
    after = VolumeSpike().migrate(table, before, 1)
    assert after.dtype == table.dtype
    assert not after[[0, 2]].view(np.uint8).any()
    above, below, usual, _ = observe(after, 1, 1_050.0, 2_000 * MINUTE_NS, True)
    assert (above, below) == (0.0, 0.0)
    assert 800 < usual < 1_200
    assert observe(after, 1, 500_000.0, 2_001 * MINUTE_NS, True)[0] > 4.0


def test_minutes_of_first_runs_are_those_of_the_engine() -> None:
    assert (WINDOW_NS, RING_WINDOWS) == (first_run.WINDOW_NS, first_run.RING_WINDOWS)


def find_first_run(calls: list[tuple[int, int]]) -> tuple[list[float], Any]:
    """Return whether each call, by minute and site, is of a first run, and the resource's row."""
    count = len(calls)
    resources, sites, found = np.zeros(2, FIRST_RUNS), np.zeros(9, FIRST_CALL), np.zeros(count)
    ones = np.ones(count, np.int64)
    find_first_runs(
        ones, np.zeros(count, np.bool_), np.array([minute * MINUTE_NS for minute, _ in calls]), ones.astype(np.int32),
        np.array([site for _, site in calls], np.int32), resources, sites, (100 * ones, ones, 3 * ones), found,
    )  # fmt: skip
    return found.tolist(), resources[1]


def test_first_run_of_a_new_site_ends_with_its_first_pause() -> None:
    day = 1_440
    found, row = find_first_run([(10, 1), (day + 20, 2), (day + 70, 2), (day + 70, 1), (day + 140, 2), (day + 141, 2)])
    assert found == [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert share_of_first_runs(row, 0, 400.0, (day + 71) * MINUTE_NS) == 0.25
    assert share_of_first_runs(row, 0, 400.0, (day + 72) * MINUTE_NS) == 0.0


def test_all_code_of_a_new_resource_is_no_first_run() -> None:
    assert find_first_run([(minute, minute // 100 + 1) for minute in range(10, 800, 40)])[0] == [0.0] * 20


def test_first_run_ends_after_a_day() -> None:
    found, _ = find_first_run([(10, 1), *((2_000 + i * 30, 2) for i in range(60))])
    assert found == [0.0] + [1.0] * 49 + [0.0] * 11
