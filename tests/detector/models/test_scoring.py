"""``backwatch score``: one score per row, causal, in [0, 1]."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.detector.models.scoring import UnreadableSeries, score_file, score_series

MINUTE_NS = 60_000_000_000


def score_minutes(values: list[float]) -> list[float]:
    return score_series(values, [i * MINUTE_NS for i in range(len(values))])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), max_size=120))
def test_every_score_is_a_number_from_0_to_1(values: list[float]) -> None:
    found = score_minutes(values)
    assert len(found) == len(values)
    assert all(0 <= score <= 1 for score in found)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=40, max_size=120), st.lists(st.floats(0, 1e6), max_size=20))
def test_score_does_not_depend_on_later_rows(values: list[float], later: list[float]) -> None:
    assert score_minutes(values) == score_minutes(values + later)[: len(values)]


def test_spike_in_a_daily_rhythm_scores_high() -> None:
    source = np.random.default_rng(1)
    values = [100 + 50 * math.sin(i / 144 * math.pi) + float(source.normal(0, 5)) for i in range(2_000)]
    values[1_500] = 900
    found = score_minutes(values)
    assert found[1_500] > 0.7
    assert sum(score >= 0.5 for score in found[600:1_500]) <= 3
    assert all(score < 0.5 for score in found[1_501:1_600])


def test_drift_of_one_percent_per_step_is_found_before_threefold() -> None:
    source = np.random.default_rng(2)
    values = [100 * math.exp(float(source.normal(0, 0.1))) for _ in range(1_000)]
    values += [values[i] * 1.01**i for i in range(110)]
    assert max(score_minutes(values)[1_000:]) >= 0.5


@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_constant_value_is_never_anomalous(constant: float) -> None:
    assert max(score_minutes([constant] * 500)) < 1e-6


def write_series(tmp_path: Path, text: str) -> str:
    path = tmp_path / "series.csv"
    path.write_text(text)
    return str(path)


def test_output_file_has_a_score_in_each_row(tmp_path: Path) -> None:
    rows = [f"2026-01-01 00:{i // 60:02d}:{i % 60:02d},{100 + i % 3}" for i in range(100)]
    out = io.StringIO()
    score_file(write_series(tmp_path, "timestamp,value\n" + "\n".join(rows) + "\n"), out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "timestamp,value,score"
    assert [line.rpartition(",")[0] for line in lines[1:]] == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the header must be timestamp,value"),
        ("time,value\n", "line 1: the header must be timestamp,value; got 'time,value'"),
        ("timestamp,value\nyesterday,1\n", "line 2: timestamp 'yesterday' is neither ISO 8601 nor seconds"),
        ("timestamp,value\n2026-01-01,much\n", "line 2: value 'much' is not a finite number"),
        ("timestamp,value\n2026-01-01,nan\n", "line 2: value 'nan' is not a finite number"),
        ("timestamp,value\n1e99,1\n", "line 2: timestamp '1e99'"),
        ("timestamp,value\n5\n", "line 2: needs a timestamp and a value"),
    ],
)
def test_unreadable_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableSeries) as refused:
        score_file(write_series(tmp_path, text), io.StringIO())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_series_whose_clock_goes_back_an_hour_is_scored(tmp_path: Path) -> None:
    rows = [f"{i * 300 - (3_600 if i >= 150 else 0)},{100 + i % 7 if i < 290 else 9_000}" for i in range(300)]
    out = io.StringIO()
    score_file(write_series(tmp_path, "timestamp,value\n" + "\n".join(rows) + "\n"), out)
    scores = [float(line.rpartition(",")[2]) for line in out.getvalue().splitlines()[1:]]
    assert len(scores) == 300
    assert scores[290] > 0.5 > max(scores[:290])


def test_smaller_budget_raises_fewer_alarms() -> None:
    source = np.random.default_rng(3)
    values = np.exp(source.standard_t(3, 4_000)).tolist()
    times = [i * 600 * 10**9 for i in range(4_000)]
    alarms = [sum(score >= 0.5 for score in score_series(values, times, budget)) for budget in (0.1, 2.0, 20.0)]
    assert alarms == sorted(alarms)
    assert alarms[0] < alarms[2]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        score_file(str(tmp_path / "none.csv"), io.StringIO())
