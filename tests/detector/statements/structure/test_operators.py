"""An operator in the place of a value is evidence; a range, a list and another filter are little or none."""

import pytest

from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.operators import RANGE_LOG_ODDS, SEVERAL_LOG_ODDS, operator_log_odds
from backwatch.detector.statements.structure.vocabulary import DOCUMENT

LOGIN = "find users filter:{user:?,code:?} limit:?"
ATTACK = 4.2
"""Log odds that outweigh how rare attacks are."""


def log_odds(known: str, new: str) -> float:
    codes = [tokens_of(text)[0] for text in (known, new)]
    for code in codes:
        code[0] = DOCUMENT
    return operator_log_odds(codes[0], codes[1], codes[1].shape[0])[0]


@pytest.mark.parametrize(
    "new",
    [
        "find users filter:{user:?,code:{$gt:?}} limit:?",
        "find users filter:{user:?,code:{$regex:?}} limit:?",
        "find users filter:{user:{$ne:?},code:{$ne:?}} limit:?",
        "find users filter:{user:?,code:?,$where:?} limit:?",
    ],
)
def test_operator_in_the_place_of_a_value_outweighs_rarity(new: str) -> None:
    assert log_odds(LOGIN, new) >= ATTACK


@pytest.mark.parametrize(
    "new",
    [
        "find users filter:{user:?,code:?,age:?} limit:?",
        "find users filter:{user:?,code:{$gt:?,$lt:?}} limit:?",
        "find users filter:{user:?,code:{$in:[?]}} limit:?",
        "find users filter:{user:?,code:?} sort:{at:?} limit:?",
        "find users filter:{user:?} limit:?",
    ],
)
def test_honest_variety_stays_far_below(new: str) -> None:
    assert log_odds(LOGIN, new) <= RANGE_LOG_ODDS


def test_two_operators_in_one_filter_weigh_most() -> None:
    assert log_odds(LOGIN, "find users filter:{user:{$ne:?},code:{$ne:?}} limit:?") == SEVERAL_LOG_ODDS


def test_any_texts_are_compared() -> None:
    assert log_odds("a ?", "b") == 0.0
    assert log_odds("{" * 400, "?" * 400) == 0.0
