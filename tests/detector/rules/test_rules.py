"""The bitset path agrees with an evaluation term by term."""

import itertools
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.rules.compiled_rules import RuleSet, matches
from backwatch.detector.rules.conjuncts import MAX_CONJUNCTS
from backwatch.detector.rules.fields import CALL_FIELDS, DOMAINS, Field, Vocabulary
from backwatch.detector.rules.sigma import Rule, RuleError, parse_rule

LEARNT = ("backwatch.test.score", "backwatch.test.novel")
VOCABULARY = Vocabulary({
    "call": {**CALL_FIELDS, **{name: Field("number", "number", derived=True) for name in LEARNT}},
    "window": {}, "loss": {},
})  # fmt: skip


def document(detection: dict[str, Any], **own: Any) -> str:
    head = {
        "title": "A Test", "id": "00000000-0000-4000-8000-000000000001", "name": own.pop("name", "a-test"),
        "level": "low",
        "logsource": {"product": "opentelemetry", "category": "backing_service_call", **own.pop("logsource", {})},
    }  # fmt: skip
    return yaml.safe_dump({**head, "detection": detection, "backwatch": {"key": "resource", **own}})


def rule(detection: dict[str, Any], **own: Any) -> Rule:
    return parse_rule(document(detection, **own), "a-test.yml", VOCABULARY)


TEXT = {
    "session": names.TLS_VERIFIED, "statement": names.QUERY_TEXT, "resource": names.SERVER_ADDRESS,
    "content": names.REDIRECT_TARGET,
}  # fmt: skip
WORDS = ["full", "None", "a.b", "10.0.0.7", "x"]
texts = st.sampled_from(WORDS)
patterns = st.one_of(texts, st.sampled_from(["*", "f*", "*l", "*.*", "?", "n?ne", ""]))
text_items = st.one_of(
    st.tuples(st.sampled_from(sorted(TEXT.values())),
              st.sampled_from(["", "|contains", "|startswith", "|endswith", "|cased"]),
              st.one_of(patterns, st.lists(patterns, min_size=1, max_size=3))),
    st.tuples(st.sampled_from(sorted(TEXT.values())), st.just("|re"), st.sampled_from(["^f", "[0-9]+", "l$"])),
    st.tuples(st.sampled_from(sorted(TEXT.values())), st.just("|exists"), st.booleans()),
    st.tuples(st.just(names.SERVER_ADDRESS), st.just("|cidr"), st.just("10.0.0.0/8")),
    st.tuples(st.sampled_from(sorted(TEXT.values())), st.just(""), st.none()),
)  # fmt: skip
number_fields = st.sampled_from([names.ROWS_RETURNED, names.BYTES_SENT, *LEARNT])
number_items = st.one_of(
    st.tuples(number_fields, st.sampled_from(["|lt", "|lte", "|gt", "|gte", "", "|neq"]), st.integers(0, 3)),
    st.tuples(number_fields, st.just("|exists"), st.booleans()),
    st.tuples(st.sampled_from(LEARNT), st.just(""), st.booleans()),
)  # fmt: skip
flag_items = st.tuples(st.just(names.TLS_ESTABLISHED), st.just(""), st.booleans())
items = st.one_of(text_items, number_items, flag_items)
selections = st.lists(items, min_size=1, max_size=3).map(
    lambda found: {field + how: value for field, how, value in found}
)


@st.composite
def detections(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {f"s{i}": one for i, one in enumerate(draw(st.lists(selections, min_size=1, max_size=4)))}
    terms = st.recursive(
        st.sampled_from(sorted(found)),
        lambda inner: st.one_of(
            inner.map(lambda one: f"not ({one})"),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
        ),
        max_leaves=5,
    )
    return {**found, "condition": draw(st.one_of(terms, st.sampled_from(["1 of s*", "all of s*", "not 1 of s*"])))}


facts = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXT.values(), texts), names.TLS_ESTABLISHED: st.booleans(),
        **dict.fromkeys((names.ROWS_RETURNED, names.BYTES_SENT, *LEARNT), st.integers(0, 3)),
    },
)  # fmt: skip


def list_findings(rules: RuleSet, calls: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return the findings of both stages, each firing once."""
    bits = {domain: np.stack([rules.evaluate_entry(domain, one) for one in calls]) for domain in DOMAINS}
    entry = {str(one): np.arange(len(calls), dtype=np.int32) for one in DOMAINS}
    columns = {
        name: np.array([one.get(name, -1) for one in calls], np.int64)
        if name not in LEARNT
        else np.array([one.get(name, np.nan) for one in calls], np.float64)
        for name in rules.numeric_columns
    }
    found: list[tuple[int, int]] = []
    for stage in (1, 3):
        row, number = rules.evaluate(bits, entry, columns, stage)
        fast_path = list(zip(row.tolist(), number.tolist(), strict=True))
        assert fast_path == sorted(fast_path)
        found += fast_path
    assert len(found) == len(set(found))
    return set(found)


@settings(max_examples=300, deadline=None)
@given(found=st.lists(detections(), min_size=1, max_size=4), calls=st.lists(facts, min_size=1, max_size=6))
def test_bitset_and_plain_evaluation_agree(found: list[dict[str, Any]], calls: list[dict[str, Any]]) -> None:
    made: list[Rule] = []
    for i, one in enumerate(found):
        made.append(rule(one, name=f"rule-{i}"))
        try:
            RuleSet(made, VOCABULARY)
        except RuleError:  # too many alternatives
            made.pop()
    if not made:
        return
    rules = RuleSet(made, VOCABULARY)
    expected = {
        (row, number) for row, one in enumerate(calls) for number, each in enumerate(rules.rules) if matches(each, one)
    }
    assert expected == list_findings(rules, calls)


@pytest.mark.parametrize(
    ("detection", "holds", "fails"),
    [
        ({"s": {names.QUERY_TEXT: "select ?"}}, {names.QUERY_TEXT: "SELECT 1"}, {names.QUERY_TEXT: "SELECT 10"}),
        ({"s": {f"{names.QUERY_TEXT}|contains|all": ["a", "b"]}}, {names.QUERY_TEXT: "xAyB"}, {names.QUERY_TEXT: "a"}),
        ({"s": {f"{names.QUERY_TEXT}|contains|cased": "Ab"}}, {names.QUERY_TEXT: "xAb"}, {names.QUERY_TEXT: "xab"}),
        ({"s": {f"{names.QUERY_TEXT}|re": "^a+$"}}, {names.QUERY_TEXT: "aa"}, {names.QUERY_TEXT: "AA"}),
        ({"s": {f"{names.QUERY_TEXT}|re|i": "^a+$"}}, {names.QUERY_TEXT: "AA"}, {names.QUERY_TEXT: "b"}),
        ({"s": {f"{names.PEER_ADDRESS}|cidr": "::1/128"}}, {names.PEER_ADDRESS: "::1"}, {names.PEER_ADDRESS: "name"}),
        ({"s": {names.SERVER_PORT: 5432}}, {names.SERVER_PORT: 5432}, {names.SERVER_PORT: 5433}),
        ({"s": {f"{names.HTTP_STATUS}|gte": 500}}, {names.HTTP_STATUS: 503}, {}),
        ({"s": {names.STATUS_CODE: 1045}}, {names.STATUS_CODE: "1045"}, {names.STATUS_CODE: "28P01"}),
        ({"s": {names.TLS_ESTABLISHED: False}}, {names.TLS_ESTABLISHED: False}, {}),
        ({"s": {names.TLS_ESTABLISHED: None}}, {}, {names.TLS_ESTABLISHED: False}),
        ({"s": {f"{names.TLS_VERIFIED}|neq": "full"}}, {names.TLS_VERIFIED: "none"}, {names.TLS_VERIFIED: "FULL"}),
        ({"s": {f"{names.QUERY_SIGNS}|contains": "stacked"}},
         {names.QUERY_SIGNS: "union-appended,stacked"}, {names.QUERY_SIGNS: "cut"}),
        ({"s": {f"{names.QUERY_SIGNS}|contains": "cut"}},
         {names.QUERY_SIGNS: "cut"}, {names.QUERY_SIGNS: "executable-comment"}),
        ({"s": {f"{names.PAYLOAD_GLOBALS}|startswith": "os."}},
         {names.PAYLOAD_GLOBALS: "a.b,os.system"}, {names.PAYLOAD_GLOBALS: "aos.b"}),
        ({"s": {"backwatch.test.score|gt": 2}}, {"backwatch.test.score": 2.5}, {}),
    ],
)  # fmt: skip
def test_modifier_means_what_sigma_defines(
    detection: dict[str, Any], holds: dict[str, Any], fails: dict[str, Any]
) -> None:
    one = rule({**detection, "condition": "s"})
    assert matches(one, holds)
    assert not matches(one, fails)


def test_service_in_the_log_source_narrows_the_rule() -> None:
    one = rule({"s": {names.TLS_ESTABLISHED: False}, "condition": "s"}, logsource={"service": "mysql"})
    assert matches(one, {names.TLS_ESTABLISHED: False, names.DB_SYSTEM: "MySQL"})
    assert not matches(one, {names.TLS_ESTABLISHED: False, names.DB_SYSTEM: "postgresql"})


GOOD: dict[str, Any] = {"s": {names.TLS_ESTABLISHED: False}, "condition": "s"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (document({"s": {"tls.etsablished": False}, "condition": "s"}), "a-test.yml: tls.etsablished: is no field"),
        (document({"s": {"tls.cipher|base64": "x"}, "condition": "s"}), "tls.cipher: the modifier 'base64'"),
        (document({"s": {"tls.cipher|re": "(?=a)"}, "condition": "s"}), "tls.cipher: google-re2 rejects"),
        (document({"s": {"backwatch.query.signs": "stakced"}, "condition": "s"}), "'stakced' is not a sign"),
        (document({"s": {"backwatch.test.score": "high"}, "condition": "s"}), "backwatch.test.score: is a number"),
        (document({"s": {"network.peer.address|cidr": "10.0.0.300/8"}, "condition": "s"}), "a-test.yml: "),
        (document({"s": ["word"], "condition": "s"}), "a value without a field"),
        (document({"s": {"tls.cipher": "x"}, "condition": "s and t"}), "a-test.yml: condition: "),
        (document(GOOD, key="host"), "a-test.yml: backwatch.key: must be one of"),
        (document(GOOD, suspect="yes"), "a-test.yml: backwatch.suspect: must be true or false"),
        (document(GOOD, clear_after_s=1), "a-test.yml: backwatch.clear_after_s: must be whole seconds"),
        (document(GOOD, keys="resource"), "a-test.yml: backwatch.keys: is unknown"),
        (document(GOOD, over="day"), "a-test.yml: backwatch.over: must be one of"),
        (document(GOOD, escalates=["b"]), "a-test.yml: backwatch.escalates: must be the name of another rule"),
        (document(GOOD, escalates="a-test"), "a-test.yml: backwatch.escalates: must be the name of another rule"),
        (document(GOOD, instead_of="b"), "a-test.yml: backwatch.instead_of: must be a list"),
        (document(GOOD, instead_of=["a-test"]), "a-test.yml: backwatch.instead_of: must be names of other rules"),
        (document(GOOD, tests=[{"name": "x"}]), "a-test.yml: backwatch.tests[0]: must have name, fires and facts"),
        (document(GOOD, tests=[{"name": "x", "fires": True, "facts": {"tls.x": 1}}]), "'tls.x' is no field"),
        (document(GOOD, tests=[{"name": "x", "fires": True, "facts": {"server.port": "a"}}]), "is a number; got 'a'"),
        (document(GOOD, name="A Test"), "a-test.yml: name: must be lower-case"),
        (document(GOOD, logsource={"product": "windows"}), "a-test.yml: logsource: must be"),
        (document(GOOD).replace("level: low", "level: loud"), "a-test.yml: level: "),
        (document(GOOD).replace("level: low\n", ""), "a-test.yml: level: is missing"),
        ("title: [", "a-test.yml: document: is not one YAML document"),
        ("- 1", "a-test.yml: document: is not a mapping"),
        ("title: T", "a-test.yml: "),
        ("title: T\nlogsource: 5\ndetection: 7", "a-test.yml: "),
    ],
)  # fmt: skip
def test_refusal_names_document_and_field_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(text, "a-test.yml", VOCABULARY)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("a-test.yml: ")


def test_rule_on_derived_facts_cannot_mark_suspects() -> None:
    one = rule({"s": {"backwatch.test.novel": True}, "condition": "s"}, suspect=True)
    with pytest.raises(RuleError, match="suspect"):
        RuleSet([one], VOCABULARY)


def test_condition_with_too_many_alternatives_is_refused() -> None:
    wide = {f"s{i}": [{names.ROWS_RETURNED: i}, {names.TLS_ESTABLISHED: True}] for i in range(MAX_CONJUNCTS)}
    with pytest.raises(RuleError, match="alternatives"):
        RuleSet([rule({**wide, "condition": "all of s*"})], VOCABULARY)


def test_rules_of_one_name_are_refused() -> None:
    with pytest.raises(RuleError, match="taken"):
        RuleSet([rule(GOOD), rule(GOOD)], VOCABULARY)


def test_rule_supersedes_another_on_the_same_call_only() -> None:
    strong = rule({"s": {names.SERVER_PORT: 1}, "condition": "s"}, name="strong", instead_of=["weak", "elsewhere"])
    weak = rule({"s": {names.TLS_ESTABLISHED: False}, "condition": "s"}, name="weak")
    rules = RuleSet([weak, strong], VOCABULARY)  # by name: strong, weak
    row, fired = np.array([0, 0, 1, 2], np.int32), np.array([0, 1, 1, 0], np.int32)
    assert rules.find_superseded(row, fired).tolist() == [False, True, False, False]


def test_rules_that_supersede_each_other_are_refused() -> None:
    first, second = (rule(GOOD, name=name, instead_of=[other]) for name, other in (("a", "b"), ("b", "a")))
    with pytest.raises(RuleError, match="comes back to itself"):
        RuleSet([first, second], VOCABULARY)


def test_more_than_64_conjuncts_take_more_words() -> None:
    many = [
        rule({"s": {names.SERVER_PORT: port, names.ROWS_RETURNED: rows}, "condition": "s"}, name=f"r{port}-{rows}")
        for port, rows in itertools.product(range(10), range(10))
    ]
    rules = RuleSet(many, VOCABULARY)
    assert rules.words == 3  # and a summary of which of the two are not zero
    calls = [{names.SERVER_PORT: port, names.ROWS_RETURNED: 3} for port in range(12)]
    assert {
        (port, next(i for i, one in enumerate(rules.rules) if one.name == f"r{port}-3")) for port in range(10)
    } == list_findings(rules, calls)
