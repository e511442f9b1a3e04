"""Bounds that the streaming statistics keep, in numbers."""

import numpy as np
import pytest

from backwatch.detector.baselines.extent import EXTENT, distance_outside, extend_range, start_range
from backwatch.detector.baselines.level import LEVEL, MAX_DRIFT, MIN_COUNT, RELEARN_DAYS, SCORE_BOUND, update

DAY_NS = 86_400 * 10**9
MINUTE_NS = 60 * 10**9


def noise(count: int, seed: int = 0, spread: float = 0.2) -> "list[float]":
    return [5 + float(x) for x in np.random.default_rng(seed).normal(0, spread, count)]


def learnt(values: "list[float]") -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    rows = np.zeros(1, LEVEL)
    for i, value in enumerate(values):
        update(rows, 0, value, i * MINUTE_NS, True)
    return rows


def test_no_score_before_enough_values() -> None:
    rows = np.zeros(1, LEVEL)
    scores = [update(rows, 0, value, i, True) for i, value in enumerate(noise(MIN_COUNT + 5))]
    assert np.isnan(scores[:MIN_COUNT]).all()
    assert not np.isnan(scores[MIN_COUNT:]).any()


@pytest.mark.parametrize("seed", range(5))
def test_learning_period_with_a_fifth_poisoned_still_raises_an_alert(seed: int) -> None:
    values = noise(200, seed)
    poisoned = [9.0 if i % 5 == 0 and i < 60 else value for i, value in enumerate(values)]
    assert update(learnt(poisoned), 0, 9.0, 200 * MINUTE_NS, False) >= SCORE_BOUND


@pytest.mark.parametrize(("rate", "times"), [(0.1, 4), (0.01, 3), (0.001, 3), (0.0005, 3)])
def test_ramp_is_detected_early(rate: float, times: float) -> None:
    past = noise(3_000)
    rows, extent = learnt(past), np.zeros(1, EXTENT)
    start_range(extent[0], past[0])
    for value in past:
        extend_range(extent[0], value)
    source = np.random.default_rng(1)
    for step in range(int(np.log(times) / np.log1p(rate))):
        x = 5 + step * np.log1p(rate) + source.normal(0, 0.2)
        beyond = distance_outside(extent[0], x)
        score = update(rows, 0, x, (3_000 + step) * MINUTE_NS, True)
        extend_range(extent[0], x)
        if rows[0]["drift"] >= MAX_DRIFT or (score > 4 and beyond > 0.1):  # as volume-spike asks
            return
    pytest.fail(f"a drift of {rate} a step was not found")


def test_daily_rhythm_is_no_drift() -> None:
    rows = np.zeros(1, LEVEL)
    source = np.random.default_rng(3)
    for i in range(20_000):
        update(rows, 0, 5 + 0.8 * np.sin(i / 1_440 * 2 * np.pi) + source.normal(0, 0.1), i * MINUTE_NS, True)
        assert rows[0]["drift"] < MAX_DRIFT or i < 1_440


def test_values_beyond_the_bound_are_not_learnt_until_they_become_usual() -> None:
    rows = learnt(noise(300))
    before = float(rows[0]["level"])
    start = 300 * MINUTE_NS
    for i in range(500):
        assert update(rows, 0, 9.0, start + i, True) >= SCORE_BOUND
    assert float(rows[0]["level"]) == before
    for day in range(1, RELEARN_DAYS + 1):
        update(rows, 0, 9.0, start + day * DAY_NS, True)
    after = [update(rows, 0, 9.0, start + (10 + i) * DAY_NS, True) for i in range(MIN_COUNT + 5)]
    assert abs(after[-1]) < SCORE_BOUND


def test_late_call_from_before_midnight_does_not_restart_the_days() -> None:
    rows = learnt(noise(300))
    start = 300 * MINUTE_NS
    for day in range(1, RELEARN_DAYS + 2):
        midnight = (start // DAY_NS + day) * DAY_NS
        for at_ns in (midnight, midnight - 1, midnight + 1):
            update(rows, 0, 9.0, at_ns, True)
    after = [update(rows, 0, 9.0, start + (10 + i) * DAY_NS, True) for i in range(MIN_COUNT + 5)]
    assert abs(after[-1]) < SCORE_BOUND


def test_half_year_old_outliers_do_not_keep_new_values_from_becoming_usual() -> None:
    rows = learnt(noise(300))
    start = 300 * MINUTE_NS
    update(rows, 0, 9.0, start, True)
    for day in range(150, 150 + RELEARN_DAYS):
        update(rows, 0, 9.0, start + day * DAY_NS, True)
    after = [update(rows, 0, 9.0, start + (160 + i) * DAY_NS, True) for i in range(MIN_COUNT + 5)]
    assert abs(after[-1]) < SCORE_BOUND


def test_row_is_small() -> None:
    assert LEVEL.itemsize == 24
