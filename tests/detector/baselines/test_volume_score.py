"""What the evidence of one series of amounts keeps to for every series."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backwatch.detector.baselines.volume_score import observe, score_amounts
from backwatch.detector.baselines.volume_series import SERIES, WARM_COUNT

MINUTE_NS = 60 * 10**9
HALF_HOUR_NS = 30 * MINUTE_NS
DAY_NS = 86_400 * 10**9
BEGIN_NS = 1_790_000_000 * 10**9

Amounts = NDArray[np.float64]


def score_minutes(amounts: Amounts, step_ns: int = MINUTE_NS) -> Amounts:
    return score_amounts(amounts, BEGIN_NS + np.arange(amounts.shape[0], dtype=np.int64) * step_ns)


def noise(count: int, spread: float = 0.2, seed: int = 0) -> Amounts:
    return np.exp(5.0 + np.random.default_rng(seed).normal(0.0, spread, count))


def daily(count: int, step_ns: int, seed: int = 0) -> Amounts:
    phase = np.arange(count) * step_ns / DAY_NS * 2 * math.pi
    return noise(count, 0.15, seed) * np.exp(0.8 * np.sin(phase))


def alarms(scores: Amounts) -> "list[int]":
    return np.flatnonzero(scores >= 0.5).tolist()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 1e12), min_size=40, max_size=150),
    st.lists(st.integers(-3_600, 86_400), min_size=150, max_size=150),
)
def test_scores_are_numbers_from_0_to_1_whatever_the_clock(amounts: "list[float]", steps_s: "list[int]") -> None:
    time_ns = BEGIN_NS + np.cumsum(np.array(steps_s[: len(amounts)], np.int64)) * 10**9
    found = score_amounts(np.array(amounts), time_ns)
    assert ((found >= 0) & (found <= 1)).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.001, 1e6), min_size=40, max_size=120), st.integers(-20, 20))
def test_unit_of_the_amounts_does_not_matter(amounts: "list[float]", power: int) -> None:
    found = np.array(amounts)
    np.testing.assert_allclose(score_minutes(found), score_minutes(found * 2.0**power), rtol=1e-5, atol=1e-6)


def test_series_in_pieces_scores_as_a_whole() -> None:
    amounts = daily(2_000, 5 * MINUTE_NS)
    amounts[1_700:1_720] *= 12
    whole, pieces = np.zeros(1, SERIES), np.zeros(3, SERIES)
    expected = [observe(whole, 0, amount, i * 300 * 10**9, True)[0] for i, amount in enumerate(amounts.tolist())]
    found: list[float] = []
    for i, amount in enumerate(amounts.tolist()):
        observe(pieces, 1, 7.0, i * 300 * 10**9, True)  # another series between
        found.append(observe(pieces, 2, amount, i * 300 * 10**9, True)[0])
        pieces = np.frombuffer(pieces.tobytes(), SERIES).copy()  # a restart after each value
    np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_constant_series_raises_nothing(constant: float) -> None:
    assert not score_minutes(np.full(3_000, constant)).any()


@pytest.mark.parametrize("step_ns", [MINUTE_NS, HALF_HOUR_NS])
def test_daily_season_stays_within_the_budget(step_ns: int) -> None:
    count = 20 * DAY_NS // step_ns
    per_series = [len(alarms(score_minutes(daily(count, step_ns, seed), step_ns))) for seed in range(3)]
    assert np.mean(per_series) <= 2 * 20 / 30.44 * 2  # twice the budget: chance


def test_heavy_tails_stay_near_the_budget() -> None:
    count, days = 30 * 288, 30
    per_series = [
        len(alarms(score_minutes(1 + np.random.default_rng(seed).pareto(1.5, count), 5 * MINUTE_NS)))
        for seed in range(5)
    ]
    assert np.mean(per_series) <= 2 * days / 30.44 * 3


def test_plateau_by_night_is_found_though_days_are_higher() -> None:
    amounts = daily(14 * 288, 5 * MINUTE_NS)
    low = int(np.argmin(np.sin(np.arange(288) / 288 * 2 * math.pi)))
    begin = 12 * 288 + low - 12
    amounts[begin : begin + 24] = np.quantile(amounts, 0.9)
    found = alarms(score_minutes(amounts, 5 * MINUTE_NS))
    assert any(begin <= at < begin + 24 for at in found)


def test_drop_to_nothing_is_found() -> None:
    amounts = daily(14 * 288, 5 * MINUTE_NS)
    amounts[12 * 288 : 12 * 288 + 60] = 0.0
    found = alarms(score_minutes(amounts, 5 * MINUTE_NS))
    assert any(12 * 288 <= at < 12 * 288 + 60 for at in found)


@pytest.mark.parametrize("rate", [0.00002, 0.0001, 0.0005, 0.001, 0.01, 0.03, 0.1])
def test_drift_is_reported_before_the_level_has_tripled(rate: float) -> None:
    steps = int(math.log(3) / math.log1p(rate))
    amounts = noise(3_000 + steps, 0.1 if rate < 0.1 else 0.05, seed=3)
    amounts[3_000:] *= np.exp(np.arange(steps) * math.log1p(rate))
    assert [at for at in alarms(score_minutes(amounts)) if at >= 3_000]


def test_plateau_raises_an_alarm_only_where_it_is_rarer_than_before() -> None:
    amounts = noise(14 * 288, 0.2)
    amounts[13 * 288 : 13 * 288 + 100] = 150 * 30
    found = [at - 13 * 288 for at in alarms(score_minutes(amounts, 5 * MINUTE_NS)) if at >= 13 * 288]
    assert found[0] == 0
    assert len(found) <= 3
    assert found[-1] < 20


def test_noisy_series_raises_its_own_threshold() -> None:
    def evidence(past: Amounts) -> float:
        rows = np.zeros(1, SERIES)
        for i, amount in enumerate(past.tolist()):
            observe(rows, 0, amount, i * 10 * MINUTE_NS, True)
        return observe(rows, 0, 150 * 40.0, past.shape[0] * 10 * MINUTE_NS, True)[0]

    calm = noise(4_000, 0.2)
    noisy = calm.copy()
    noisy[300::300] *= np.exp(np.linspace(1.0, 3.0, noisy[300::300].shape[0]))  # ever greater bursts
    assert evidence(noisy) < evidence(calm) - 1.0


def test_suspect_minutes_teach_nothing() -> None:
    rows = np.zeros(1, SERIES)
    for i, amount in enumerate(noise(2_000).tolist()):
        observe(rows, 0, amount, i * MINUTE_NS, True)
    before = rows.copy()
    for i in range(50):
        observe(rows, 0, 1e6, (2_000 + i) * MINUTE_NS, False)
    for name in ("level", "high", "quantile", "day", "week", "reference", "episodes"):
        np.testing.assert_array_equal(rows[name], before[name], name)


def test_usual_amount_follows_the_hour_of_the_day() -> None:
    rows = np.zeros(1, SERIES)
    count = 14 * 288
    amounts = daily(count, 5 * MINUTE_NS)
    usual = [observe(rows, 0, amount, i * 5 * MINUTE_NS, True)[2] for i, amount in enumerate(amounts.tolist())]
    last = np.array(usual[-288:]).reshape(24, 12).mean(axis=1)
    truth = np.exp(5 + 0.8 * np.sin(np.arange(24) / 24 * 2 * math.pi))
    assert np.corrcoef(last, truth)[0, 1] > 0.9


def test_first_amounts_score_nothing() -> None:
    rows = np.zeros(1, SERIES)
    found = [observe(rows, 0, 5.0 + i, i * MINUTE_NS, True)[0] for i in range(WARM_COUNT + 1)]
    assert np.isnan(found[:WARM_COUNT]).all()
    assert not math.isnan(found[WARM_COUNT])


def test_row_is_small() -> None:
    assert SERIES.itemsize <= 540
