"""The model of multivariate-anomaly: fitted by scikit-learn and scored without it."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from backwatch.detector.baselines.forest import ARRAYS, UnusableModel, isolation_score, validate_model
from backwatch.detector.detectors.multivariate_anomaly import FEATURES
from backwatch.detector.models.fit import MINUTES_PER_TREE, TREE_COUNT, TooLittleHistory, features, fit
from tests.detector.small_engine import START_NS, SmallEngine

MINUTE_NS = 60 * 10**9


@dataclass(frozen=True, kw_only=True)
class Past:
    resource_id: str
    end_ns: int
    suspects: int = 0
    calls: int
    errors: int
    bytes_sent: int
    bytes_received: int
    rows_returned: int
    rows_affected: int
    duration_ns: int
    new_statements: int


def sums(source: np.random.Generator, size: int) -> dict[str, int]:
    """Return a minute of an app. Rows, bytes and time are proportional to the calls."""
    calls = int(source.poisson(size)) + 1
    rows = int(source.poisson(calls * 5))
    return {
        "calls": calls, "errors": int(source.random() < 0.05), "bytes_sent": calls * 80 + int(source.integers(0, 50)),
        "bytes_received": 200 * calls + 60 * rows, "rows_returned": rows, "rows_affected": int(source.poisson(calls)),
        "duration_ns": int(calls * 2e6 * source.lognormal(0, 0.2)), "new_statements": 0,
    }  # fmt: skip


def history(minutes: int = 600, seed: int = 0) -> list[Past]:
    source = np.random.default_rng(seed)
    return [
        Past(resource_id=f"r{size}", end_ns=START_NS + minute * MINUTE_NS, **sums(source, size))
        for minute in range(minutes)
        for size in (20, 200)
    ]


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    return fit(history())


def test_arrays_score_as_scikit_learn_does(model: dict[str, Any]) -> None:
    found = features(history())
    forest: Any = IsolationForest(n_estimators=TREE_COUNT, max_samples=cast(Any, MINUTES_PER_TREE), random_state=0).fit(
        found
    )
    expected = -forest.score_samples(found[:50])
    scores = [isolation_score(row, *(model[name] for name in ARRAYS[:-1])) for row in found[:50]]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_same_history_gives_the_same_model(model: dict[str, Any]) -> None:
    again = fit(history()[::-1])
    assert all((model[name] == again[name]).all() for name in ARRAYS)


def test_anomalous_minute_is_reported_with_its_deviating_features(model: dict[str, Any]) -> None:
    engine = SmallEngine()
    source = np.random.default_rng(9)
    for minute in range(200):
        fired, _ = engine.window(minute, {"multivariate-anomaly": model}, **sums(source, 50))
        assert "multivariate-anomaly" not in fired
    odd = {**sums(source, 50), "calls": 500, "errors": 200, "rows_returned": 20, "bytes_received": 100_000}
    fired, facts = engine.window(201, {"multivariate-anomaly": model}, **odd)
    assert "multivariate-anomaly" in fired
    named = {name for name in FEATURES if facts[f"backwatch.odd.{name}"] > 0}
    assert named == {"errors", "rows_returned", "duration"}


def test_without_a_model_nothing_is_anomalous() -> None:
    engine = SmallEngine()
    source = np.random.default_rng(9)
    for minute in range(100):
        fired, facts = engine.window(minute, None, **sums(source, 50))
        assert not fired
        assert np.isnan(facts["backwatch.odd.score"])


def test_too_little_history_is_refused() -> None:
    with pytest.raises(TooLittleHistory, match="20 of 256"):
        fit(history(40))


@pytest.mark.parametrize("harm", ["missing", "leads out", "asks out", "not finite", "wrong type"])
def test_arrays_of_an_invalid_forest_are_refused(model: dict[str, Any], harm: str) -> None:
    bad = {name: array.copy() for name, array in model.items()}
    if harm == "missing":
        del bad["left"]
    elif harm == "leads out":
        bad["left"][0] = 10_000_000
    elif harm == "asks out":
        bad["feature"][0] = len(FEATURES)
    elif harm == "not finite":
        bad["path"][-1] = np.nan
    else:
        bad["right"] = bad["right"].astype(np.float64)
    with pytest.raises(UnusableModel):
        validate_model(bad, len(FEATURES))
    engine = SmallEngine()
    source = np.random.default_rng(9)
    facts: dict[str, float] = {}
    for minute in range(40):
        _, facts = engine.window(minute, {"multivariate-anomaly": bad}, **sums(source, 50))
    assert np.isnan(facts["backwatch.odd.score"])
