"""Predicates evaluated together on one entry agree with each evaluated alone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.detector.rules import entry_tests
from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.entry_tests import EntryTests

FIELDS = ("a", "b", "c")
PLAIN = ["", "x", "from", "FROM", "İ", "ß", "ſ", "K", "é", "a.b", "\n", "\\", "(", "10", "\x00", "^", "$"]  # noqa: RUF001

pieces = st.sampled_from(PLAIN)
texts = st.one_of(st.lists(pieces, max_size=4).map("".join), st.text(max_size=6))
wild = st.lists(st.one_of(pieces, st.sampled_from(["*", "?", "\\*"])), max_size=4).map("".join)
patterns = st.sampled_from([
    "^x", "x$", r"\bfrom\b", r"^\W*from", ".", "^.$", "", r"(?:x|from).*10", r"[^\n]+$", r"\d+", r"\pL", r"x*", "é|ß",
    r"\z",
])  # fmt: skip
passes = st.one_of(
    st.builds(lambda one, cased: p.text_test(one, cased=cased), wild, st.booleans()),
    st.builds(
        lambda one, flags: p.pattern_test(one, flags=flags), patterns, st.sampled_from(["", "i", "m", "s", "ims"])
    ),
    st.builds(lambda one, cased: p.any_word_test(p.text_test(one, cased=cased)), wild, st.booleans()),
    st.just(p.is_present),
    st.builds(p.number_test, st.sampled_from(p.OPERATORS), st.sampled_from([0, 1, 10])),
    st.just(p.network_test("10.0.0.0/8")),
)
terms = st.recursive(
    st.builds(p.FieldTest, st.sampled_from(FIELDS), passes),
    lambda inner: st.one_of(
        inner.map(p.Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: p.AllOf(tuple(found))),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: p.AnyOf(tuple(found))),
    ),
    max_leaves=6,
)
asked = st.lists(st.one_of(st.none(), terms), max_size=12)
values = st.one_of(texts, texts, st.integers(0, 10), st.booleans(), st.just("10.1.2.3"))
facts = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, values))


@settings(max_examples=500, deadline=None)
@given(asked, st.lists(facts, min_size=1, max_size=4))
def test_terms_evaluated_together_agree_with_each_alone(
    found: list[p.Term | None], all_facts: list[dict[str, Any]]
) -> None:
    tests = EntryTests(found)
    for one in all_facts:
        assert tests.evaluate_facts(one).tolist() == [term is None or p.is_satisfied(term, one) for term in found]


def test_cased_and_uncased_tests_of_one_word_stay_distinct() -> None:
    found: list[p.Term] = [p.FieldTest("a", p.text_test("x", cased=cased)) for cased in (False, True, False)]
    assert EntryTests(found).evaluate_facts({"a": "X"}).tolist() == [True, False, True]


WORDS: list[p.Term] = [
    p.FieldTest("a", p.pattern_test(rf"\bword{at}\b")) for at in range(3 * entry_tests.MAX_PATTERNS_PER_SET)
]


@pytest.mark.parametrize("memory", [entry_tests.MAX_SET_BYTES, 1_000])
def test_patterns_beyond_one_set_match(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    monkeypatch.setattr(entry_tests, "MAX_SET_BYTES", memory)
    tests = EntryTests(WORDS)
    last = len(WORDS) - 1
    assert tests.evaluate_facts({"a": f"word0 and word{last}, not word1x"}).nonzero()[0].tolist() == [0, last]
    assert not tests.evaluate_facts({}).any()


def test_invalid_unicode_text_causes_no_error() -> None:
    tests = EntryTests([p.FieldTest("a", p.text_test("*x*", cased=False)), p.FieldTest("a", p.pattern_test("^y"))])
    assert tests.evaluate_facts({"a": "\ud800x"}).tolist() == [True, False]
