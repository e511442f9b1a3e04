"""Shapes of documents at a settled call site: an operator where a value belongs is an attack, a new filter is none."""

from typing import Any

import pytest

from backwatch.collector import names
from tests.detector.small_engine import DAY_NS, SECOND_NS, SmallEngine, call

DAY = DAY_NS // SECOND_NS
USUAL = "find orders filter:{owner:?,state:?} limit:?"
PAST = 300


def find(at_s: float, shape: str, **facts: Any) -> dict[str, Any]:
    made = call(at_s, "", **facts)
    del made[names.QUERY_TEXT]
    return {**made, names.DB_SYSTEM: "mongodb", names.STATEMENT: shape, names.TLS_VERIFIED: "full"}


def after_history(shape: str, **facts: Any) -> set[str]:
    engine = SmallEngine()
    past = engine.step([find(i * 2 * DAY / PAST, USUAL) for i in range(PAST)])
    assert not any(past)
    return engine.step([find(2 * DAY, shape, **facts)])[-1]


@pytest.mark.parametrize(
    "shape",
    ["find orders filter:{owner:?,state:{$gt:?}} limit:?", "find orders filter:{owner:{$ne:?},state:{$ne:?}} limit:?"],
)
def test_operator_for_a_value_at_a_settled_call_site_is_an_attack(shape: str) -> None:
    assert "query-attack" in after_history(shape)


@pytest.mark.parametrize(
    "shape",
    ["find orders filter:{owner:?,state:?,day:?} limit:?", "find orders filter:{owner:?,state:{$in:[?]}} limit:?"],
)
def test_another_filter_is_no_attack(shape: str) -> None:
    assert "query-attack" not in after_history(shape)


def test_sign_suffices_where_nothing_is_known() -> None:
    shape = "find users filter:{user:?,password:{$gt:?}} !operator-for-value"
    call_with_sign = {**find(0, shape), names.QUERY_SIGNS: "operator-for-value"}
    assert "query-attack" in SmallEngine().step([call_with_sign])[0]
