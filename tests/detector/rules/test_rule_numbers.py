"""Numbers looked up among limits compare as the plain evaluation does."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.compiled_rules import RuleSet, matches
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.fields import DOMAINS
from backwatch.detector.rules.rule_kernels import BUFFER_FIRINGS
from tests.detector.rules.test_rules import GOOD, LEARNT, VOCABULARY, rule

BASE = rule(GOOD)
WHOLE = (names.ROWS_RETURNED, names.BYTES_SENT)
HUGE = (2**53, 2**53 + 1, 2**63 - 1)
WORDS = ["GET", "PUT"]

limits = st.one_of(
    st.integers(-2, 3), st.sampled_from([0.0, -0.0, 0.5, math.inf, -math.inf, math.nan, 5e-324, 1e308]),
    st.sampled_from(HUGE), st.floats(),
)  # fmt: skip
wholes = st.one_of(st.integers(0, 3), st.sampled_from(HUGE))
fractions = st.one_of(limits, st.floats())


def make_test(field: str, how: p.Operator, limit: float) -> p.FieldTest:
    passes = p.is_present if how == "exists" else p.number_test(how, float(limit))
    return p.FieldTest(field, passes, how, float(limit))


comparisons = st.builds(make_test, st.sampled_from([*WHOLE, *LEARNT]), st.sampled_from(p.OPERATORS), limits)
words = st.sampled_from(WORDS).map(lambda one: p.FieldTest(names.OPERATION, p.text_test(one, cased=False)))
terms = st.recursive(
    st.one_of(comparisons, comparisons, words),
    lambda inner: st.one_of(
        inner.map(p.Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: p.AllOf(tuple(found))),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: p.AnyOf(tuple(found))),
    ),
    max_leaves=8,
)
calls = st.fixed_dictionaries(
    {},
    optional={
        names.OPERATION: st.sampled_from(WORDS), **dict.fromkeys(WHOLE, wholes), **dict.fromkeys(LEARNT, fractions),
    },
)  # fmt: skip


def rule_set(conditions: list[p.Term]) -> RuleSet:
    made = [dataclasses.replace(BASE, name=f"r{i:05}", condition=one) for i, one in enumerate(conditions)]
    return RuleSet(made, VOCABULARY)


def list_fired(rules: RuleSet, found: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return row and rule of both stages."""
    bits = {domain: np.stack([rules.evaluate_entry(domain, one) for one in found]) for domain in DOMAINS}
    entry = {str(domain): np.arange(len(found), dtype=np.int32) for domain in DOMAINS}
    columns: dict[str, Any] = {name: np.array([one.get(name, -1) for one in found], np.int64) for name in WHOLE}
    columns |= {name: np.array([one.get(name, np.nan) for one in found], np.float64) for name in LEARNT}
    pairs: list[tuple[int, int]] = []
    for stage in (1, 3):
        row, number = rules.evaluate(bits, entry, columns, stage)
        pairs += zip(row.tolist(), number.tolist(), strict=True)
    return sorted(pairs)


@settings(max_examples=300, deadline=None)
@given(st.lists(terms, min_size=1, max_size=80), st.lists(calls, min_size=1, max_size=8))
def test_rules_with_any_limits_fire_where_they_hold(conditions: list[p.Term], found: list[dict[str, Any]]) -> None:
    kept: list[p.Term] = []
    for one in conditions:
        try:
            rule_set([one])
        except RuleError:  # too many alternatives
            continue
        kept.append(one)
    if not kept:
        return
    rules = rule_set(kept)
    plain = [(row, at) for row, one in enumerate(found) for at, each in enumerate(rules.rules) if matches(each, one)]
    assert list_fired(rules, found) == plain
    one_by_one = [(row, at) for row, one in enumerate(found) for _, at in list_fired(rules, [one])]
    assert one_by_one == plain, "what fires hangs on the calls beside it"


@pytest.mark.parametrize("how", p.OPERATORS)
@pytest.mark.parametrize("negated", [False, True])
def test_values_between_shared_limits_compare_correctly(how: p.Operator, negated: bool) -> None:
    conditions: list[p.Term] = []
    for limit in (-math.inf, -1.0, -0.0, 0.0, 1.0, 1.0, math.inf):
        one = make_test(LEARNT[0], how, limit)
        conditions.append(p.Not(one) if negated else one)
    values = [math.nan, -math.inf, -2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, math.inf]
    rules, found = rule_set(conditions), [{LEARNT[0]: value} for value in values]
    plain = [(row, at) for row, one in enumerate(found) for at, each in enumerate(rules.rules) if matches(each, one)]
    assert plain
    assert list_fired(rules, found) == plain


def test_absent_field_matches_only_negated_terms() -> None:
    rules = rule_set([make_test(WHOLE[0], "lt", 1.0), p.Not(make_test(WHOLE[0], "lt", 1.0))])
    assert list_fired(rules, [{}]) == [(0, 1)]


def test_rules_beyond_one_summary_word_fire() -> None:
    count = 64 * 64 + 7
    rules = rule_set([make_test(WHOLE[0], "eq", at) for at in range(count)])
    assert list_fired(rules, [{WHOLE[0]: at} for at in (0, 63, 64, 4095, 4096, count - 1, count)]) == [
        (0, 0), (1, 63), (2, 64), (3, 4095), (4, 4096), (5, count - 1),
    ]  # fmt: skip


def test_tables_grow_with_the_tests_and_no_faster() -> None:
    def size(count: int) -> int:
        tests = rule_set([make_test(WHOLE[0], "gt", at) for at in range(count)])._numbers
        return tests.passing.nbytes + tests.limits.nbytes

    assert size(6_000) <= 1.1 * 4 * size(1_500)


def test_all_firings_beyond_one_buffer_are_returned() -> None:
    rules = rule_set([make_test(WHOLE[0], "gte", at) for at in range(3)])
    found = [{WHOLE[0]: row % 4} for row in range(2 * BUFFER_FIRINGS)]
    expected = [(row, at) for row in range(2 * BUFFER_FIRINGS) for at in range(3) if row % 4 >= at]
    assert len(expected) > 4 * BUFFER_FIRINGS
    assert list_fired(rules, found) == expected


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(("how", "rows"), [("lt", [0]), ("lte", [0, 1]), ("gte", [1]), ("eq", [1])])
def test_column_may_be_of_any_kind_of_number(dtype: Any, how: p.Operator, rows: list[int]) -> None:
    rules = rule_set([make_test("error", how, 1.0)])
    entry = {str(domain): np.zeros(2, np.int32) for domain in DOMAINS}
    bits = {domain: rules.evaluate_entry(domain, {})[np.newaxis] for domain in DOMAINS}
    row, _ = rules.evaluate(bits, entry, {"error": np.array([0, 1], dtype)}, 1)
    assert row.tolist() == rows
