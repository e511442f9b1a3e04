"""Bounds that the streaming statistics keep, in numbers."""

import numpy as np
import pytest

from backwatch.detector.baselines.level import (
    LEVEL,
    MIN_COUNT,
    RELEARN_DAYS,
    SCORE_BOUND,
    migrate_levels,
    update,
    update_daily,
)

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


HOUR_NS = 3_600 * 10**9


def play_days(nights: "list[tuple[int, float]]", first: float = 0.7) -> "list[float]":
    """Return the scores of one large value a day, given by hour and value, among small ones each hour."""
    rows, found = np.zeros(1, LEVEL), list[float]()
    for day, (at_hour, value) in enumerate(nights):
        for hour in range(24):
            now = day * DAY_NS + hour * HOUR_NS
            update_daily(rows, 0, first, now, True)
            if hour == at_hour:
                found.append(update_daily(rows, 0, value, now + HOUR_NS // 2, True))
    return found


def test_second_size_at_the_same_hour_is_usual_from_day_two_on() -> None:
    assert play_days([(4, 9.5)] + [(4 + day % 2, 9.5) for day in range(5)])[1:] == [0.0] * 5


def test_first_value_of_all_may_be_the_second_size() -> None:
    rows = np.zeros(1, LEVEL)
    update_daily(rows, 0, 9.5, 4 * HOUR_NS, True)
    for i in range(100):
        update_daily(rows, 0, 0.7, 5 * HOUR_NS + i * MINUTE_NS * 10, True)
    assert update_daily(rows, 0, 9.6, 28 * HOUR_NS, True) == 0.0


def test_value_at_another_hour_or_far_larger_is_no_second_size() -> None:
    found = play_days([(4, 9.5), (4, 9.5), (15, 9.5), (4, 9.5)])
    assert found[2] >= SCORE_BOUND
    assert play_days([(4, 7.0), (4, 7.0), (4, 9.5)])[2] >= SCORE_BOUND


def test_second_size_that_grows_daily_leaves_its_bound() -> None:
    found = play_days([(4, 7.0 + 0.3 * day) for day in range(6)])
    assert [score >= SCORE_BOUND for score in found[2:]] == [True, False, True, False]
    assert play_days([(4, value) for value in (7.0, 7.3, 7.0, 6.5, 7.3)])[1:] == [0.0] * 4


def test_change_at_all_hours_becomes_usual_after_a_week() -> None:
    rows = np.zeros(1, LEVEL)
    for hour in range(240):
        update_daily(rows, 0, 3.2, hour * HOUR_NS, True)
    unusual = [0] * 9
    for hour in range(9 * 24):
        unusual[hour // 24] += update_daily(rows, 0, 6.9, (240 + hour) * HOUR_NS, True) >= SCORE_BOUND
    assert min(unusual[: RELEARN_DAYS - 1]) >= 20
    assert sum(unusual[RELEARN_DAYS:]) == 0


def test_second_size_does_not_replace_the_first_after_a_week() -> None:
    nights = [(4, 9.5)] * 20
    assert play_days(nights)[1:] == [0.0] * 19
    rows = np.zeros(1, LEVEL)
    for hour in range(20 * 24):
        update_daily(rows, 0, 9.5 if hour % 24 == 4 else 0.7, hour * HOUR_NS, True)
    assert rows[0]["level"] < 1.0


def test_second_size_repeated_within_its_first_day_is_not_usual() -> None:
    rows = learnt(noise(300, spread=0.05))
    scores = [update_daily(rows, 0, 12.0, 3 * DAY_NS + i * MINUTE_NS, True) for i in range(30)]
    assert min(scores) >= SCORE_BOUND


def test_levels_of_version_1_are_kept() -> None:
    before = np.zeros(
        1, [("level", "<f4"), ("spread", "<f4"), ("count", "<u2"), ("over_days", "u1"), ("over_day", "u1")]
    )
    before["level"], before["count"] = 5.0, 4_000
    after = migrate_levels(before)
    assert after.dtype == LEVEL
    assert after[["level", "count", "over"]].tolist() == [(5.0, 127, 0)]
