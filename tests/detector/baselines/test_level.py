"""Bounds that the streaming statistics keep, in numbers."""

import numpy as np
import pytest

from backwatch.detector.baselines.level import LEVEL, MIN_COUNT, RELEARN_DAYS, SCORE_BOUND, update

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
    assert LEVEL.itemsize == 12
