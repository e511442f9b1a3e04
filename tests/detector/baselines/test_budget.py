"""Running totals against the tail of their history, on one row."""

import numpy as np
import pytest

from backwatch.detector.baselines.budget import (
    BUDGET,
    DAY,
    HOUR,
    MAX_SHARE,
    MIN_EXCESS,
    ROW_BYTES,
    TEN,
    UNIT_BYTES,
    add,
    advance,
    count_beyond,
    find_exceeded,
    find_limit,
    weigh,
)

TEN_MINUTES_NS = 600 * 10**9
START = 2_983_248
"""A Monday, in tens of minutes since 1970."""
UNITS_PER_ROW = ROW_BYTES // UNIT_BYTES


class History:
    """One statement's row beside that of its resource, in tens of minutes."""

    def __init__(self) -> None:
        self.rows, self.wholes, self.ten = np.zeros(1, BUDGET), np.zeros(1, BUDGET), START

    def pass_ten_minutes(self, calls: int, rows: int, other_calls: int = 0) -> list[int]:
        """Make these calls of so many rows, and further ones of other statements; return what was exceeded."""
        found: list[int] = []
        row, whole = self.rows[0], self.wholes[0]
        for number in range(calls + other_calls):
            advance(whole, self.ten * TEN_MINUTES_NS)
            if number * calls // (calls + other_calls) != (number + 1) * calls // (calls + other_calls):
                advance(row, self.ten * TEN_MINUTES_NS)
                add(row, weigh(rows, -1))
                found.append(find_exceeded(row, whole))
            add(whole, 0)
        self.ten += 1
        return [period for period in found if period >= 0]

    def learn(self, days: int, calls: int = 10, other_calls: int = 0, seed: int = 0) -> list[int]:
        """Learn from days of about so many calls of 50 rows; return what was exceeded."""
        source, found = np.random.default_rng(seed), list[int]()
        for _ in range(days * 144):
            found += self.pass_ten_minutes(int(source.poisson(calls)), 50, int(source.poisson(other_calls)))
        return found


def rows_until_exceeded(history: History, usual: int, more: int, tens: int) -> int:
    """Return the rows of so many calls more than usual that leave before something is exceeded."""
    for number in range(tens):
        if history.pass_ten_minutes(usual + more, 50):
            return (number + 1) * more * 50
    pytest.fail("nothing was exceeded")


@pytest.mark.parametrize(("usual", "more"), [(10, 400), (10, 60), (10, 40), (2, 3)])
def test_a_loop_of_small_reads_exceeds_a_budget_before_20_000_rows(usual: int, more: int) -> None:
    history = History()
    history.learn(15, usual)
    assert rows_until_exceeded(history, usual, more, 7 * 144) <= 20_000


@pytest.mark.parametrize("seed", range(2))
def test_ordinary_weeks_exceed_nothing(seed: int) -> None:
    assert History().learn(28, calls=20, seed=seed) == []


def test_growth_of_five_percent_a_week_exceeds_nothing() -> None:
    history = History()
    assert [found for week in range(8) for found in history.learn(7, int(20 * 1.05**week), seed=week)] == []


def test_a_sale_day_exceeds_nothing() -> None:
    history = History()
    history.learn(14, 40, 100)
    assert history.learn(1, 240, 600) == []


def test_one_statement_that_grows_alone_exceeds_its_budget() -> None:
    history = History()
    history.learn(14, 40, 100)
    assert history.learn(1, 240, 100)


def test_budget_of_a_day_cannot_be_raised_within_a_day() -> None:
    history = History()
    history.learn(8)
    history.pass_ten_minutes(1, 50)
    limit = find_limit(history.rows[0], DAY, 1.0)
    for _ in range(20):
        history.pass_ten_minutes(1_000, 50)
    assert find_limit(history.rows[0], DAY, 1.0) == limit
    assert history.rows[0]["amount"][DAY] > limit


def test_nothing_is_reported_in_the_first_day() -> None:
    history = History()
    assert history.learn(1) == []
    assert History().pass_ten_minutes(5_000, 500) == []


def test_each_period_is_reported_once() -> None:
    history = History()
    history.learn(5)
    found = [period for _ in range(6) for period in history.pass_ten_minutes(600, 50)]
    assert found.count(HOUR) <= 2
    assert len(found) <= 10


def test_row_is_small() -> None:
    assert BUDGET.itemsize == 56


def test_one_statement_alone_does_not_exceed_its_resource_total() -> None:
    history = History()
    history.learn(3)
    row, whole = history.rows[0], history.wholes[0]
    for each in (row, whole):
        advance(each, history.ten * TEN_MINUTES_NS)
    counted = 0
    for _ in range(1_000):  # 50,000 rows
        add(row, weigh(50, -1))
        counted += count_beyond(row, whole, weigh(50, -1))
    assert 0 < counted <= MAX_SHARE * MIN_EXCESS[TEN]
